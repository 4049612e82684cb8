"""What every transport promises. A new one joins with a peer in conftest.py."""

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from ingress_contracts.control import Checkpoint
from ingress_contracts.envelope import MAX_DATA_BYTES, Envelope
from telematics_publisher.errors import (
    BatchRefused,
    DeadlineExceeded,
    NotAuthorised,
    Unavailable,
    Unreachable,
)
from telematics_publisher.records import Envelopes, Record, Stored, provider_lane

if TYPE_CHECKING:
    from tests.contracts.publisher.conftest import Peer

pytestmark = pytest.mark.anyio

EPOCH = UUID("0190b0d0-0000-7000-8000-000000000001")
LANE = provider_lane("viriciti", "/viriciti/acme/buses", timestamped=True)
ENVELOPES = Envelopes("acme", "edge-1")


def batch(*data: bytes) -> list[Envelope]:
    return [
        ENVELOPES.of(Stored(EPOCH, number, Record(LANE, 1_700_000_000_000_001, "arcc_004", one)))
        for number, one in enumerate(data, start=1)
    ]


async def test_returning_means_that_everything_is_over_there_unchanged_and_in_order(
    peer: "Peer",
) -> None:
    sent = batch(b'{"a":1}', b"", bytes(range(256)), b"x" * MAX_DATA_BYTES)
    assert list(await peer.transport.publish(sent)) == []
    assert await peer.received(len(sent)) == sent


async def test_batches_arrive_in_the_order_in_which_they_were_published(peer: "Peer") -> None:
    sent = batch(*(b"%d" % number for number in range(30)))
    for at in range(0, 30, 10):
        await peer.transport.publish(sent[at : at + 10])
    assert await peer.received(len(sent)) == sent


async def test_records_refused_for_themselves_are_told_and_their_neighbours_proceed(
    peer: "Peer",
) -> None:
    sent = batch(b"a", b"b", b"c", b"d")
    peer.refuse(1, 3)
    refusals = await peer.transport.publish(sent)
    assert [one.index for one in refusals] == [1, 3]
    assert all(one.reason for one in refusals)
    assert [one.data for one in await peer.received(2)] == [b"a", b"c"]


async def test_a_batch_refused_as_a_whole_raises_batch_refused(peer: "Peer") -> None:
    peer.refuse_batch()
    with pytest.raises(BatchRefused) as caught:
        await peer.transport.publish(batch(b"a"))
    assert caught.value.reason == "too_large"


async def test_a_refused_credential_raises_not_authorised(peer: "Peer") -> None:
    peer.forbid()
    with pytest.raises(NotAuthorised):
        await peer.transport.publish(batch(b"a"))


async def test_a_wish_for_patience_is_passed_on(peer: "Peer") -> None:
    peer.overload()
    with pytest.raises(Unavailable) as caught:
        await peer.transport.publish(batch(b"a"))
    assert caught.value.retry_after == 1.5


async def test_no_answer_within_the_deadline_raises_deadline_exceeded(peer: "Peer") -> None:
    peer.be_silent()
    with pytest.raises(DeadlineExceeded):
        await peer.transport.publish(batch(b"a"))


async def test_an_answer_that_was_lost_is_no_success_and_sending_again_repeats_the_id(
    peer: "Peer",
) -> None:
    peer.swallow_answer()
    with pytest.raises(Unreachable):
        await peer.transport.publish(batch(b"a"))
    await peer.transport.publish(batch(b"a"))
    one, other = await peer.received(2)
    assert one == other


async def test_a_peer_that_is_away_raises_unreachable(peer: "Peer") -> None:
    await peer.leave()
    with pytest.raises(Unreachable):
        await peer.transport.publish(batch(b"a"))


async def test_a_checkpoint_arrives_by_every_route_that_it_names(peer: "Peer") -> None:
    routes = tuple(await peer.transport.routes())
    checkpoint = Checkpoint(number=1, epochs=(), routes=routes)
    await peer.transport.publish([ENVELOPES.of_checkpoint(checkpoint, 0)])
    arrived = await peer.received(sum(route.partitions or 1 for route in routes))
    assert {Checkpoint.model_validate_json(one.data) == checkpoint for one in arrived} == {True}
    assert await peer.ways_taken() == {
        f"{route.door}/{number}" for route in routes for number in range(route.partitions or 1)
    }
