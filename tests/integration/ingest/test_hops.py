"""Where messages wait, measured on the messages: by a clock that is handed in."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

from core_ingest.door import Door, Principal
from core_ingest.handler import Delivery, IngestHandler
from core_ingest.hops import Passage
from core_ingest.reading import micros
from ingress_contracts.envelope import Envelope

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RECEIVED, SENT, ARRIVED, COMMITTED = (micros(NOON + after * SECOND) for after in (3, 7, 15, 31))
"""Each hop takes a time of its own: 3, 4, 8 and 16 s."""


def sums(metric: str) -> dict[tuple[tuple[str, str], ...], tuple[float, float]]:
    """Return count and sum (s) of each series of a histogram."""
    return {
        tuple(sorted(sample.labels.items())): (
            sample.value,
            REGISTRY.get_sample_value(f"{metric}_sum", sample.labels) or 0.0,
        )
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == f"{metric}_count"
    }


class Since:
    """What was added to a histogram since this was made."""

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._before = sums(metric)

    def added(self, **labels: str) -> Mapping[str, tuple[float, float]]:
        """Return count and sum (s) by hop, or under an empty name, of the series with these labels."""
        found = {}
        for key, (count, total) in sums(self._metric).items():
            old = self._before.get(key, (0.0, 0.0))
            if labels.items() <= dict(key).items() and count > old[0]:
                found[dict(key).get("hop", "")] = (count - old[0], round(total - old[1], 6))
        return found


async def take(core: "Core", door: Door, passage: Passage | None, *envelopes: Envelope) -> None:
    handler = IngestHandler(core.pool, wall=lambda: COMMITTED)
    offsets = range(len(envelopes)) if door is Door.KAFKA else ()
    route = "kafka/telematics/0" if door is Door.KAFKA else None
    delivery = Delivery(envelopes, door, Principal(), route, offsets, passage=passage)
    await handler.handle_together([delivery])


@pytest.mark.parametrize("door", [Door.HTTP, Door.KAFKA])
async def test_each_hop_is_what_lies_between_two_instants(
    core: "Core", edge: "Edge", door: Door
) -> None:
    hops = Since("core_ingest_hop_seconds")
    freshness, delivery = (
        Since("core_ingest_freshness_seconds"),
        Since("core_ingest_delivery_seconds"),
    )
    frames = [edge.frame("speed", 40.0 + one, received=NOON + 3 * SECOND) for one in range(2)]
    sent = (SENT,) if door is Door.HTTP else (SENT, SENT)

    await take(core, door, Passage(ARRIVED, sent), *frames)

    found = hops.added(door=door, provider="viriciti")
    assert found == {
        "provider": (2, 2 * 3),
        "publisher": (2, 2 * 4),
        "transport": (2, 2 * 8),
        "core": (2, 2 * 16),
    }
    assert freshness.added(door=door) == {"": (2, 2 * 31)}
    assert delivery.added(door=door) == {"": (2, 2 * 28)}


async def test_of_a_large_delivery_every_nth_message_stands_for_n(
    core: "Core", edge: "Edge"
) -> None:
    hops = Since("core_ingest_hop_seconds")
    frames = [
        edge.frame("speed", 2.0 * one, NOON + one * SECOND / 1_000, received=NOON + 3 * SECOND)
        for one in range(1_000)
    ]

    await take(core, Door.HTTP, Passage(ARRIVED, (SENT,)), *frames)

    found = hops.added(door=Door.HTTP)
    assert {count for count, _ in found.values()} == {1_000}
    assert found["publisher"] == (1_000, 4_000)


async def test_copies_replays_and_control_messages_wait_for_nobody(
    core: "Core", edge: "Edge"
) -> None:
    first = edge.frame("speed", 40.0, received=NOON + 3 * SECOND)
    await core.take(first)
    hops = Since("core_ingest_hop_seconds")

    await take(core, Door.HTTP, Passage(ARRIVED, (SENT,)), first, edge.connection("connected"))
    again = edge.frame("soc", 50.0, received=NOON + 3 * SECOND)
    delivery = Delivery([again], Door.REPLAY, Principal(), origins=["edge-1/x/1"])

    async def record(*_: object) -> None:
        """Write nothing down."""

    await IngestHandler(core.pool).handle_again([delivery], record)

    assert hops.added() == {}


async def test_what_is_committed_is_answered_though_it_cannot_be_measured(
    core: "Core", edge: "Edge"
) -> None:
    def broken() -> int:
        raise ZeroDivisionError

    handler = IngestHandler(core.pool, wall=broken)
    frame = edge.frame("speed", 1.0)

    (outcome,) = await handler.handle([frame], door=Door.HTTP, principal=Principal())

    assert outcome.kind == "accepted"


async def test_without_a_time_of_sending_two_hops_are_not_guessed(
    core: "Core", edge: "Edge"
) -> None:
    hops = Since("core_ingest_hop_seconds")

    await take(core, Door.HTTP, Passage(ARRIVED), edge.frame("speed", 1.0, received=NOON + SECOND))

    assert set(hops.added()) == {"provider", "core"}


async def test_clocks_that_run_apart_make_no_time_negative(core: "Core", edge: "Edge") -> None:
    hops = Since("core_ingest_hop_seconds")
    frame = edge.frame("speed", 1.0, received=NOON + 9 * SECOND)

    await take(core, Door.HTTP, Passage(ARRIVED, (ARRIVED + 5_000_000,)), frame)

    assert hops.added()["transport"] == (1, 0.0)


async def test_strangers_are_one_provider_and_make_no_series(core: "Core", edge: "Edge") -> None:
    before = sum(1 for family in REGISTRY.collect() for _ in family.samples)
    await take(
        core, Door.HTTP, None, edge.envelope("telematics.provider.message.v1", b"{}", provider="p")
    )
    warm = sum(1 for family in REGISTRY.collect() for _ in family.samples)

    await take(
        core,
        Door.HTTP,
        None,
        *[
            edge.envelope("telematics.provider.message.v1", b"{}", provider=f"p{one}")
            for one in range(50)
        ],
    )

    assert sum(1 for family in REGISTRY.collect() for _ in family.samples) == warm >= before
