import pytest

from core_ingest.decide import Candidate
from core_ingest.errors import DataRefused
from core_ingest.reading import Value
from core_ingest.signals.catalogue import signal
from core_ingest.store import copying

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("observed", "value"),
    [(0.5, 1.0), (2**64, 1.0), (0, None), (0, b"bytes"), (0, 7), (0, (1.0,)), (0, "\ud800")],
)
async def test_fact_that_no_column_holds_is_refused(observed: int, value: Value) -> None:
    fact = Candidate((1, 1, 1), observed, 0, value, 0, signal("x.y"))

    with pytest.raises(DataRefused, match="no place in history"):
        [piece async for piece in copying.body([fact])]
