import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from ingress_contracts.control import Checkpoint, Route, Undeliverable
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import CHECKPOINT, PROVIDER_MESSAGE, UNDELIVERABLE
from telematics_publisher.delivery import REFUSED_IN_A_ROW, Delivery
from telematics_publisher.errors import Unreachable
from telematics_publisher.journal.journal import Journal
from telematics_publisher.records import Envelopes, Record
from telematics_publisher.sender import Pace, Sender
from telematics_publisher.transports.http import HttpTransport

if TYPE_CHECKING:
    from tests.integration.publisher.door import Door, Reply, Request

pytestmark = pytest.mark.anyio
Frames = Callable[[int], list[Record]]
Reader = Callable[["Request"], "Reply"]


class Bench:
    """A sender over a real journal and a real server; its clock stands still, its sleeps do not wait."""

    def __init__(self, journal: Journal, door: "Door") -> None:
        self.journal = journal
        self.door = door
        self.slept: list[float] = []
        self.now = 0.0
        self.transport = HttpTransport(door.url, SecretStr("key"), deadline=10.0)

    def sender(self, records: int = 10, window: int = 1, checkpoint_seconds: float = 5.0) -> Sender:
        return Sender(
            Delivery(self.journal, self.transport, random=lambda: 0.0, sleep=self._sleep),
            Envelopes("acme", "edge-1"),
            pace=Pace(records=records, window=window, checkpoint_seconds=checkpoint_seconds),
            clock=lambda: self.now,
        )

    async def drain(self, **pace: Any) -> Sender:
        """Run a sender until the journal is empty or it stops."""
        sender = self.sender(**pace)
        sender.drain(1e9)
        await sender.run()
        return sender

    def accepted(self, kind: str) -> list[Envelope]:
        return [one for one in self.door.accepted if one.type == kind]

    def checkpoints(self) -> list[Checkpoint]:
        return [Checkpoint.model_validate_json(one.data) for one in self.accepted(CHECKPOINT)]

    def undeliverables(self) -> list[Undeliverable]:
        return [Undeliverable.model_validate_json(one.data) for one in self.accepted(UNDELIVERABLE)]

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
async def bench(journal: Journal, door: "Door") -> AsyncIterator[Bench]:
    made = Bench(journal, door)
    yield made
    await made.transport.aclose()


async def test_sends_the_journal_in_order_and_empties_it(bench: Bench, frames: Frames) -> None:
    await bench.journal.append(frames(95))
    await bench.drain()
    assert [one.data for one in bench.accepted(PROVIDER_MESSAGE)] == [
        one.data for one in frames(95)
    ]
    assert [one.sequence for one in bench.accepted(PROVIDER_MESSAGE)] == list(range(1, 96))
    assert bench.journal.pending == 0
    batches = [len(request.envelopes) for request in bench.door.requests]
    assert batches == [10] * 9 + [5, 1]  # the last one is a checkpoint


async def test_one_line_is_said_of_each_batch_and_whose_it_is(bench: Bench, frames: Frames) -> None:
    await bench.journal.append(frames(15))
    with capture_logs() as logs:
        await bench.drain()
    one, two = [line for line in logs if line["event"] == "batch_delivered"]
    assert (one["first"], one["last"], one["records"]) == (1, 10, 10)
    assert (two["first"], two["last"], two["records"]) == (11, 15, 5)
    assert one["log_level"] == "debug"
    assert (one["workspace"], one["publisher"], one["transport"]) == ("acme", "edge-1", "http")


async def test_the_last_checkpoint_speaks_of_every_number(bench: Bench, frames: Frames) -> None:
    await bench.journal.append(frames(7))
    await bench.drain()
    (checkpoint,) = bench.checkpoints()
    (epoch,) = checkpoint.epochs
    assert checkpoint.routes == (Route(door="http"),)
    assert (epoch.first, epoch.head, epoch.pending, epoch.closed) == (1, 7, (), False)


async def test_a_checkpoint_waits_for_the_answers_to_what_was_sent_before(
    bench: Bench, frames: Frames, doors: Any
) -> None:
    answer = asyncio.Event()

    def late(request: "Request") -> "Reply":
        reply = doors.accept(request)
        made: Reply = doors.Reply(reply.status, reply.body, late=answer)
        return made

    bench.door.script = [late]
    await bench.journal.append(frames(1))
    sender = bench.sender(window=3)
    running = asyncio.create_task(sender.run())
    await bench.door.until(lambda door: len(door.requests) == 1)
    bench.now = 10.0  # a checkpoint is due while the first batch has no answer
    await bench.journal.append(frames(1))
    assert bench.checkpoints() == []
    answer.set()
    await bench.door.until(lambda _: bool(bench.checkpoints()))
    (epoch,) = bench.checkpoints()[0].epochs
    assert 1 not in {low for low, _ in epoch.pending}
    sender.drain(1e9)
    await running


async def test_checkpoints_are_sent_when_idle_too(bench: Bench) -> None:
    sender = bench.sender(checkpoint_seconds=0.0)
    running = asyncio.create_task(sender.run())
    await bench.door.until(lambda _: len(bench.checkpoints()) >= 3)
    sender.drain(1e9)
    await running
    numbers = [one.number for one in bench.checkpoints()]
    assert numbers == sorted(set(numbers))


async def test_a_record_refused_for_itself_is_settled_and_its_neighbours_arrive(
    bench: Bench, frames: Frames, doors: Any
) -> None:
    bench.door.script = [lambda request: doors.accept(request, [3])]
    await bench.journal.append(frames(8))
    await bench.drain()
    assert len(bench.accepted(PROVIDER_MESSAGE)) == 7
    (report,) = bench.undeliverables()
    assert (report.sequence, report.reason, report.subject) == (4, "invalid_data", "arcc_004")
    (envelope,) = bench.accepted(UNDELIVERABLE)
    assert envelope.sequence == 9
    assert bench.journal.pending == 0
    assert bench.checkpoints()[-1].epochs[0].pending == ()


@pytest.mark.parametrize(("status", "reason"), [(413, "too_large"), (400, "malformed")])
async def test_a_refused_batch_is_split_down_to_the_record_that_is_the_reason(
    bench: Bench, frames: Frames, doors: Any, status: int, reason: str
) -> None:
    def reply(request: "Request") -> "Reply":
        guilty = any(one.data == b"5" for one in request.envelopes)
        answer: Reply = doors.Reply(status) if guilty else doors.accept(request)
        return answer

    bench.door.reply = reply
    await bench.journal.append(frames(16))
    await bench.drain(records=16)
    arrived = [one.data for one in bench.accepted(PROVIDER_MESSAGE)]
    assert arrived == [one.data for one in frames(16) if one.data != b"5"]
    (report,) = bench.undeliverables()
    assert (report.sequence, report.reason) == (6, reason)
    assert bench.journal.pending == 0


async def test_a_batch_that_is_only_too_large_together_arrives_in_parts(
    bench: Bench, frames: Frames, doors: Any
) -> None:
    bench.door.reply = lambda request: (
        doors.Reply(413) if len(request.envelopes) > 3 else doors.accept(request)
    )
    await bench.journal.append(frames(16))
    await bench.drain(records=16)
    assert [one.data for one in bench.accepted(PROVIDER_MESSAGE)] == [
        one.data for one in frames(16)
    ]
    assert bench.undeliverables() == []


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_stops_the_sender_and_the_journal_keeps_everything(
    bench: Bench, frames: Frames, doors: Any, status: int
) -> None:
    bench.door.reply = lambda _: doors.Reply(status)
    await bench.journal.append(frames(30))
    sender = await bench.drain()
    assert f"HTTP {status}" in (sender.stopped or "")
    assert len(bench.door.requests) == 1
    assert bench.journal.pending == 30
    await bench.journal.append(frames(1))
    assert bench.journal.pending == 31


async def test_a_key_of_another_publisher_stops_the_sender_and_settles_nothing(
    bench: Bench, frames: Frames, doors: Any
) -> None:
    bench.door.reply = lambda request: doors.accept(request, [0, 1, 2], "foreign_publisher")
    await bench.journal.append(frames(3))
    sender = await bench.drain()
    assert "foreign_publisher" in (sender.stopped or "")
    assert bench.journal.pending == 3
    assert bench.journal.head == 3


async def test_a_door_that_refuses_everything_stops_the_sender(
    bench: Bench, frames: Frames, doors: Any
) -> None:
    bench.door.reply = lambda request: doors.accept(request, range(len(request.items)))
    await bench.journal.append(frames(REFUSED_IN_A_ROW + 50))
    sender = await bench.drain()
    assert f"{REFUSED_IN_A_ROW} records in a row" in (sender.stopped or "")
    assert bench.journal.pending == REFUSED_IN_A_ROW + 50 + REFUSED_IN_A_ROW  # and the reports


async def test_no_report_is_made_on_a_report(bench: Bench, frames: Frames, doors: Any) -> None:
    def reply(request: "Request") -> "Reply":
        refused = [
            at
            for at, one in enumerate(request.envelopes)
            if one.type == UNDELIVERABLE or one.data == b"0"
        ]
        answer: Reply = doors.accept(request, refused)
        return answer

    bench.door.reply = reply
    await bench.journal.append(frames(2))
    await bench.drain()
    assert bench.journal.head == 3
    assert bench.checkpoints()[-1].epochs[0].pending == ((1, 1), (3, 3))


async def test_patience_is_kept_and_order_too(bench: Bench, frames: Frames, doors: Any) -> None:
    away = [
        lambda _: doors.Reply(503, headers={"retry-after": "2.5"}),
        lambda _: doors.Reply(429, headers={"retry-after": "7"}),
        lambda _: doors.Reply(None),
        lambda _: doors.Reply(200, b"<html>proxy</html>"),
    ]
    bench.door.script = list(away)
    await bench.journal.append(frames(30))
    await bench.drain()
    assert bench.slept == [2.5, 7.0, 0.0, 0.0]
    assert [one.data for one in bench.accepted(PROVIDER_MESSAGE)] == [
        one.data for one in frames(30)
    ]


async def test_draining_ends_when_its_time_is_over_and_keeps_the_rest(
    bench: Bench, frames: Frames, doors: Any
) -> None:
    def reply(request: "Request") -> "Reply":
        bench.now += 1.0
        answer: Reply = doors.accept(request)
        return answer

    bench.door.reply = reply
    await bench.journal.append(frames(100))
    sender = bench.sender(checkpoint_seconds=1e6)
    sender.drain(3.0)
    await sender.run()
    assert 0 < bench.journal.pending < 100
    (low, high), *others = bench.checkpoints()[-1].epochs[0].pending
    assert (high, others) == (100, [])
    assert 100 - low + 1 == bench.journal.pending


async def test_a_closed_epoch_is_reported_once_and_then_forgotten(
    bench: Bench, frames: Frames, tmp_path: Path
) -> None:
    await bench.journal.append(frames(5))
    await bench.journal.close()
    bench.journal = await Journal.open(
        tmp_path / "acme.journal", workspace="acme", publisher="edge-1"
    )
    await bench.drain()
    await bench.drain()
    await bench.journal.close()
    first, second = bench.checkpoints()
    assert [(one.head, one.closed, one.pending) for one in first.epochs] == [
        (5, True, ()),
        (5, False, ()),
    ]
    assert [one.closed for one in second.epochs] == [False]
    old, new = (one.epoch for one in first.epochs)
    assert {one.publisherepoch for one in bench.accepted(PROVIDER_MESSAGE)} == {old}
    assert second.epochs[0].epoch == new


async def test_a_way_that_is_gone_when_a_checkpoint_is_due_is_told_and_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles = [Unreachable("nobody there"), Unreachable("nobody there")]

    async def routes() -> tuple[Route, ...]:
        if troubles:
            raise troubles.pop()
        return (Route(door="http"),)

    monkeypatch.setattr(bench.transport, "routes", routes)
    with capture_logs() as logs:
        await bench.drain()
    told = [one["event"] for one in logs if one["event"].startswith("transport_")]
    assert told == ["transport_away", "transport_back"]
    assert len(bench.slept) == 2
    assert len(bench.checkpoints()) == 1
