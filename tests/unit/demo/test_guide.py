from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from uuid import UUID

import pytest
from rich.console import Console, RenderableType

from ingress_testbed.demo import guide
from ingress_testbed.demo.journey import Journey, Settled
from ingress_testbed.demo.queue import Place
from ingress_testbed.demo.view import WIDTH

DATA = (
    b'{"type":"vehicles","payload":{"vid":"bus-0004","label":"current",'
    b'"value":57,"time":1795535459098}}'
)
RECEIVED = datetime(2026, 11, 24, 15, 58, 15, 475141, tzinfo=UTC)
JOURNEY = Journey(
    data=DATA,
    id=UUID("ee811f1b-2f96-8e05-a67d-981dd9347c6f"),
    settled=Settled(
        publisher="publisher-1",
        epoch=UUID("01a20e47-772b-75bd-bf53-1c2e1c672cee"),
        sequence=548,
        frame=545,
        at=datetime(2026, 11, 24, 15, 58, 15, 494141, tzinfo=UTC),
    ),
    vehicle="bus-0004",
    signal="Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed",
    value=57.0,
    row={
        "observed": datetime(2026, 11, 24, 15, 58, 15, 473141, tzinfo=UTC),
        "received": RECEIVED,
        "quality": 0,
    },
    served=57.0,
    read_seconds=0.004,
)


def drawn(renderable: RenderableType) -> Iterator[str]:
    console = Console(file=StringIO(), width=WIDTH)
    console.print(renderable)
    assert isinstance(console.file, StringIO)
    yield from (line.rstrip() for line in console.file.getvalue().splitlines())


def test_journey_tells_bytes_id_sequence_outcome_row_and_delays() -> None:
    text = "\n".join(drawn(guide.journey_table(JOURNEY, timely=True)))

    assert DATA.decode() in "".join(part.strip() for part in text.split("provider")[1].split("\n"))
    for part in (str(JOURNEY.id), "sequence 548", "accepted", "+2 ms", "+19 ms", "+4 ms"):
        assert part in text


def test_journey_through_a_topic_tells_partition_offset_and_both_delays() -> None:
    written = 1_795_535_895_482  # 7 ms after it was received, to the millisecond
    journey = replace(JOURNEY, place=Place(2, 1_234, written, DATA))

    text = "\n".join(drawn(guide.journey_table(journey, timely=True)))

    for part in ("partition 2, offset 1,234", "+7 ms", "+12 ms"):
        assert part in text


def test_replayed_frame_has_no_delay_from_its_provider() -> None:
    text = "\n".join(drawn(guide.journey_table(JOURNEY, timely=False)))

    assert "replayed" in text
    assert "+2 ms" not in text


@pytest.mark.parametrize("wrong", [(), ("1 message is in flight still",)])
def test_conclusion_says_what_is_wrong_if_anything_is(wrong: tuple[str, ...]) -> None:
    text = "\n".join(drawn(guide.conclusion(wrong)))

    assert ("every message is accounted for" in text) is not bool(wrong)
    assert all(one in text for one in wrong)
