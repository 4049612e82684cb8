"""Strangers choose many words; none of them makes a time series of its own."""

import json
import time
from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

from core_api.keys import Role
from core_ingest.door import Door, Principal
from core_ingest.handler import Delivery, IngestHandler
from core_ingest.hops import Passage
from core_ingest.ledger.compactor import compact
from core_ingest.ledger.watch import Watch
from core_ingest.providers import interpreters
from core_ingest.reading import Interpretation, Rejected, Uninterpretable
from core_ingest.unreadable import Unreadable
from ingress_contracts import kinds
from ingress_contracts.envelope import Envelope

if TYPE_CHECKING:
    from tests.integration.api.conftest import Api
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio

MOST = 5_000
"""Series of a process of ours, whatever comes: all that all rooms define together stay below it."""

WARM_UP = 500
MESSAGES = 3_000
BATCH = 100


def series() -> set[tuple[object, ...]]:
    """Return the name and the labels of every series of this process."""
    return {
        (sample.name, *sorted(sample.labels.items()))
        for metric in REGISTRY.collect()
        for sample in metric.samples
    }


def chatty(data: bytes) -> Interpretation:
    """Interpret as a plugin does that has a reason of its own for every message."""
    said = json.loads(data)
    if said["whole"]:
        raise Uninterpretable(said["reason"], "not understood")
    return Interpretation("chatty", said["reason"], [Rejected(said["reason"], "no such thing")])


def strangers(edge: "type[Edge]") -> Iterator[Envelope]:
    """Yield messages for ever, each of another publisher, and of another workspace now and then."""
    for number in count(1):
        word = f"word_{number}"
        sender = edge(f"workspace-{number // 10}", f"edge-{number}")
        reason = {"reason": word, "whole": number % 2 == 0}
        update = {"provider": f"maker-{number}", "externalid": word, "readings": []}
        match number % 7:
            case 0:
                yield sender.frame(word, float(number), vehicle=word)
            case 1:
                provider = f"maker-{number}"
                yield sender.envelope(kinds.PROVIDER_MESSAGE, b"{}", provider=provider)
            case 2:
                body, provider = json.dumps(update).encode(), f"maker-{number}"
                yield sender.envelope(kinds.CANONICAL_UPDATE, body, provider=provider)
            case 3 | 4:
                said = json.dumps(reason).encode()
                yield sender.envelope(kinds.PROVIDER_MESSAGE, said, provider="chatty")
            case 5:
                yield sender.envelope(f"telematics.kind{number}.v1", b"{}", provider=word)
            case _:
                yield sender.connection("connected", stream=word)


async def poured(
    handler: IngestHandler, messages: Iterator[Envelope], number: int, first_offset: int
) -> None:
    """Take so many messages, half of them by each door, with records that are none."""
    for start in range(0, number, BATCH):
        batch = list(islice(messages, BATCH))
        now = time.time_ns() // 1_000
        half = BATCH // 2
        await handler.handle_together(
            [Delivery(batch[:half], Door.HTTP, Principal(), passage=Passage(now, [start]))]
        )
        offset = first_offset + start
        await handler.handle_together(
            [delivered([*batch[half:], *records(offset, 5)], offset, Passage(now))]
        )


def delivered(
    envelopes: Sequence[Envelope | Unreadable], offset: int, passage: Passage
) -> Delivery:
    """Return what a queue brings, of a topic that nobody had before."""
    return Delivery(
        envelopes,
        Door.KAFKA,
        Principal(),
        route=f"kafka/topic-{offset}/{offset}",
        offsets=range(offset, offset + len(envelopes)),
        passage=passage,
    )


def records(offset: int, number: int) -> Iterator[Unreadable]:
    """Yield records that are no envelopes, each for a reason of its own."""
    for one in range(offset, offset + number):
        yield Unreadable(f"no_envelope_{one}", "", b"", None, [(f"header-{one}", b"")])


async def test_thousands_of_strangers_make_no_series_beyond_a_bound(
    core: "Core", edge: "Edge"
) -> None:
    """Providers, labels, workspaces, publishers, vehicles, streams, kinds, topics and reasons."""
    handler = IngestHandler(core.pool, plugins={**interpreters(), "chatty": chatty})
    messages = strangers(type(edge))
    ticks = count(0)
    watch = Watch(core.pool, 1, clock=lambda: float(next(ticks)))

    async def pour(number: int, first_offset: int) -> None:
        await poured(handler, messages, number, first_offset)
        await watch.look()
        await compact(core.pool)
        await watch.look()

    await pour(WARM_UP, 0)
    await pour(WARM_UP, WARM_UP)
    known = series()

    await pour(MESSAGES, 2 * WARM_UP)

    found = series()
    # Those are the most frequent reasons now, and others then.
    assert {one[0] for one in found ^ known} <= {"core_ingest_dead_letters_waiting"}
    assert len(found) == len(known) < MOST
    assert await core.count("workspaces") > MESSAGES / 10
    assert await core.pool.fetchval("SELECT count(DISTINCT reason) FROM dead_letters") > 1_000


async def test_whatever_is_asked_of_the_api_makes_no_series_beyond_a_bound(api: "Api") -> None:
    """Paths, parameters, methods, headers and keys."""
    readers = [await api.key(Role.READ, "acme"), {}, {"authorization": "Bearer nobody"}]

    async def ask(numbers: range) -> None:
        for number in numbers:
            word = f"word-{number}"
            headers = {"x-sent": word, **readers[number % 3]}
            for method, path in (
                ("GET", f"/{word}"),
                ("GET", f"/v1/workspaces/{word}/accounting"),
                ("GET", f"/v1/workspaces/acme/vehicles/{word}?{word}={word}"),
                (f"X{number}", "/v1/provider-ingest"),
                ("POST", f"/v1/provider-ingest?{word}"),
            ):
                kind = {"content-type": f"application/{word}"}
                answer = await api.client.request(method, path, headers=headers | kind)
                assert 400 <= answer.status_code < 500

    await ask(range(30))
    known = series()
    await ask(range(30, 300))

    assert series() == known
    assert len(known) < MOST
