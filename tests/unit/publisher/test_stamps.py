from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from ingress_contracts.control import Route
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import PROVIDER_MESSAGE
from telematics_publisher.delivery import Delivery
from telematics_publisher.errors import ClockAhead
from telematics_publisher.stamps import corrected
from telematics_publisher.transport import Refusal

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SKEW = 300.0


def micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def stamped(*received: datetime) -> list[Envelope]:
    return [
        Envelope(
            id=str(at),
            source="/viriciti/acme/buses",
            type=PROVIDER_MESSAGE,
            workspaceid="acme",
            receivedtime=each,
            publisherid="edge-1",
        )
        for at, each in enumerate(received)
    ]


def refused(batch: Sequence[Envelope], core: datetime) -> ClockAhead:
    """Return what core says of `batch` when its clock shows `core`."""
    ahead = max(one.receivedtime for one in batch) - core
    return ClockAhead("HTTP 503", 30.0, ahead.total_seconds(), SKEW)


BATCH = stamped(NOON + 7_200 * SECOND, NOON - 60 * SECOND, NOON + 7_201 * SECOND)


@pytest.mark.parametrize("off", [0, 299, -299])
def test_stamps_of_the_future_become_now_once_our_clock_agrees_with_core(off: int) -> None:
    now = NOON + off * SECOND

    mended = corrected(BATCH, refused(BATCH, NOON), micros(now))

    assert mended is not None
    assert [one.receivedtime for one in mended] == [now, min(now, NOON - 60 * SECOND), now]
    assert [one.id for one in mended] == ["0", "1", "2"]


@pytest.mark.parametrize(
    "now",
    [NOON + 7_202 * SECOND, NOON + 301 * SECOND, NOON - 301 * SECOND, datetime(1970, 1, 1, tzinfo=UTC)],
    ids=["still ahead", "ahead", "behind", "1970"],
)  # fmt: skip
def test_clock_that_core_contradicts_corrects_nothing(now: datetime) -> None:
    assert corrected(BATCH, refused(BATCH, NOON), micros(now)) is None


class Core:
    """A transport to a core whose clock stands at NOON."""

    name = "core"
    copies: Sequence[Route] = ()

    async def routes(self) -> Sequence[Route]:
        return (Route(door="http"),)

    def __init__(self) -> None:
        self.taken: list[Envelope] = []

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        if any((one.receivedtime - NOON).total_seconds() > SKEW for one in batch):
            raise refused(batch, NOON)
        self.taken += batch
        return ()

    async def aclose(self) -> None: ...


def test_batch_waits_until_the_clock_is_mended_and_then_arrives_with_stamps_of_now() -> None:
    journal: Any = None
    attempts = count(1)
    core = Core()
    clock = NOON + 7_202 * SECOND

    async def sleep(_seconds: float) -> None:
        nonlocal clock
        if next(attempts) == 3:
            clock = NOON + SECOND

    async def send() -> None:
        delivery = Delivery(journal, core, sleep=sleep, wall=lambda: micros(clock))
        assert await delivery.send(BATCH) == ()

    with capture_logs() as logs:
        anyio.run(send)

    said = [line["event"] for line in logs if line["log_level"] != "debug"]
    assert said == ["clock_ahead"] * 3 + ["received_times_corrected"]
    assert "set this machine's clock" in logs[0]["remedy"]
    assert [one.receivedtime - NOON for one in core.taken] == [SECOND, -60 * SECOND, SECOND]
