"""Every interleaving of sends, timeouts, late writes, probes, failures and restarts: each fact once."""

import asyncio
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from telematics_publisher.breaker import Breaker, Caution
from telematics_publisher.delivery import Delivery
from telematics_publisher.errors import DeadlineExceeded, NotAuthorised, Unavailable, Unreachable
from telematics_publisher.records import Envelopes
from telematics_publisher.sender import Pace, Sender
from telematics_publisher.transports.queue_first import QueueFirst
from tests.unit.publisher.ways import (
    Attempt,
    Core,
    MemoryJournal,
    Steps,
    http_way,
    kafka_way,
)

CAUTION = Caution(pause=5.0, longest=40.0, probes=2, spacing=1.0, calm=60.0)
ERRORS = (Unreachable("gone"), Unavailable("no leader"), NotAuthorised("no ACL"))
which = st.integers(0, 3)


class QueueFirstMachine(RuleBasedStateMachine):
    """A sender of one journal under queue-first; the machine plays brokers, door, core and time."""

    @initialize()
    def begin(self) -> None:
        self.steps = Steps()
        self.now = 1_000.0
        self.core = Core()
        self.late: list[Attempt] = []
        asyncio.set_event_loop(self.steps.loop)
        self.journal = MemoryJournal()
        self.open()

    def open(self) -> None:
        self.kafka, self.http = kafka_way(), http_way()
        self.breaker = Breaker(CAUTION, self.clock)
        self.transport = QueueFirst(
            self.kafka, self.http, self.breaker, topic="t", workspace="acme"
        )
        delivery = Delivery(
            cast("Any", self.journal),
            self.transport,
            random=lambda: 0.0,
            sleep=self.sleep,
            clock=self.clock,
        )
        self.sender = Sender(
            delivery,
            Envelopes("acme", "edge-1"),
            pace=Pace(records=2, window=2, checkpoint_seconds=5.0),
            clock=self.clock,
        )
        self.running = self.steps.start(self.sender.run())

    def clock(self) -> float:
        return self.now

    async def sleep(self, _seconds: float) -> None:
        await asyncio.sleep(0)

    @rule(count=st.integers(1, 4), checkpoint=st.booleans())
    def frames_arrive(self, count: int, checkpoint: bool) -> None:
        self.now += 5.0 * checkpoint
        self.journal.add(count)
        self.steps.turn()

    @rule(seconds=st.sampled_from([0.5, 2.0, 6.0, 50.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.kafka.attempts)
    @rule(at=which)
    def kafka_confirms(self, at: int) -> None:
        attempt = self.taken(self.kafka.attempts, at)
        self.core.write(attempt.batch)
        attempt.succeed()
        self.steps.turn()

    @precondition(lambda self: self.kafka.attempts)
    @rule(at=which)
    def kafka_hangs_and_may_write_later(self, at: int) -> None:
        attempt = self.taken(self.kafka.attempts, at)
        self.late.append(attempt)
        attempt.fail(DeadlineExceeded("no answer in time"))
        self.steps.turn()

    @precondition(lambda self: self.kafka.attempts)
    @rule(at=which, error=st.sampled_from(ERRORS), part=st.integers(0, 2))
    def kafka_fails_having_written_a_part(self, at: int, error: Any, part: int) -> None:
        attempt = self.taken(self.kafka.attempts, at)
        self.core.write(attempt.batch[:part])
        attempt.fail(type(error)(str(error)))
        self.steps.turn()

    @precondition(lambda self: self.late)
    @rule(at=which)
    def late_write_arrives(self, at: int) -> None:
        self.core.write(self.taken(self.late, at).batch)

    @rule(away=st.booleans())
    def brokers_answer_or_not(self, away: bool) -> None:
        self.kafka.away = away

    @precondition(lambda self: self.http.attempts)
    @rule(at=which)
    def core_answers(self, at: int) -> None:
        attempt = self.taken(self.http.attempts, at)
        self.core.handle(attempt.batch)
        attempt.succeed()
        self.steps.turn()

    @precondition(lambda self: self.http.attempts)
    @rule(at=which, stored=st.booleans(), error=st.sampled_from(ERRORS))
    def core_fails(self, at: int, stored: bool, error: Any) -> None:
        attempt = self.taken(self.http.attempts, at)
        if stored:  # and the answer is lost
            self.core.handle(attempt.batch)
        attempt.fail(type(error)(str(error)))
        self.steps.turn()

    @rule(partition=st.integers(0, 1))
    def consumer_reads(self, partition: int) -> None:
        self.core.consume(partition)

    @rule()
    def process_is_killed(self) -> None:
        self.late += self.kafka.attempts
        self.running.cancel()
        self.steps.turn()
        self.journal.reopen()
        self.open()

    @invariant()
    def what_is_acknowledged_is_held(self) -> None:
        acknowledged = {
            (one.epoch, one.sequence)
            for one in self.journal.records
            if one.sequence in self.journal.acknowledged
        }
        assert acknowledged <= self.core.held

    @invariant()
    def nothing_is_unaccounted(self) -> None:
        assert not self.core.unaccounted

    @invariant()
    def sender_goes_on(self) -> None:
        assert self.sender.stopped is None
        assert not self.running.done()

    def teardown(self) -> None:
        if not hasattr(self, "steps"):
            return
        self.kafka.away = False
        self.sender.drain(1e9)
        self.steps.turn()
        for _ in range(400):
            if self.running.done():
                break
            self.now += 1.0
            for attempt in list(self.kafka.attempts):
                self.kafka.attempts.remove(attempt)
                self.core.write(attempt.batch)
                attempt.succeed()
            for attempt in list(self.http.attempts):
                self.http.attempts.remove(attempt)
                self.core.handle(attempt.batch)
                attempt.succeed()
            self.steps.turn()
        assert self.running.done()
        for attempt in self.late:
            self.core.write(attempt.batch)
        for partition in (0, 1):
            for _ in self.core.partitions[partition]:
                self.core.consume(partition)
        everything = {(one.epoch, one.sequence) for one in self.journal.records}
        assert set(self.core.settled) == everything
        assert self.journal.pending == 0
        assert not self.core.unaccounted
        self.steps.close()

    @staticmethod
    def taken(attempts: list[Attempt], at: int) -> Attempt:
        return attempts.pop(at % len(attempts))


QueueFirstMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
TestQueueFirst = QueueFirstMachine.TestCase
