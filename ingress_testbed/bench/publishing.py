"""From a journal to Kafka: a publisher's own journal, sender and transport, beside bare producers."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, median
from uuid import uuid4

import click
from aiokafka import AIOKafkaProducer

from ingress_contracts.envelope import Envelope
from ingress_contracts.kafka import KafkaRecord, encode
from ingress_runtime.kafka.producer import Producer
from ingress_testbed.bench import first_attempt
from ingress_testbed.bench.contenders import parts
from ingress_testbed.bench.kafka_topics import DEADLINE, Brokers
from ingress_testbed.bench.measure import Stopwatch, interleaved, timed
from ingress_testbed.bench.tables import show
from ingress_testbed.bench.workloads import PUBLISHER, WORKSPACE, Workload
from telematics_publisher.delivery import Delivery
from telematics_publisher.journal.journal import Journal
from telematics_publisher.records import Envelopes, Record, provider_lane
from telematics_publisher.sender import Sender
from telematics_publisher.service import SWITCH_SECONDS
from telematics_publisher.transports.kafka import KafkaTransport

_JOURNALLED_AT_ONCE = 5_000
_BARE = "bare aiokafka"
_JOURNAL = "journal to Kafka"
_FIRST = "one at a time"


class Publishing:
    """The contenders; `bytes_each` are bytes in the broker's log an envelope, of the journal's."""

    def __init__(self, brokers: Brokers, directory: Path, seconds: float) -> None:
        self._brokers = brokers
        self._directory = directory
        self._seconds = seconds
        self.bytes_each: dict[str, list[float]] = {}

    async def bench(self, workload: Workload, rounds: int) -> None:
        """Measure all of them on a workload and print what was found."""
        contenders = {
            _BARE: self.bare,
            _JOURNAL: self.journal,
            _FIRST: self.first_attempt,
        }
        trials = {name: timed(each, workload) for name, each in contenders.items()}
        what = f"{workload.name}, publishing"
        await interleaved(f"{what}, to warm up", {_JOURNAL: trials[_JOURNAL]}, 1)
        self.bytes_each.clear()
        found = await interleaved(what, trials, rounds)
        title = f"{what}: {len(workload.envelopes):,} envelopes"
        show(title, found, [_BARE, _FIRST], "records")
        data = mean(len(one.data) for one in workload.envelopes)
        for name, each in self.bytes_each.items():
            click.echo(
                f"{name}: {median(each):.0f} bytes an envelope in the broker's log, "
                f"of which the provider sent {data:.0f} before compression"
            )

    async def journal(self, workload: Workload) -> float:
        """Fill a journal; then time until every record is acknowledged, settled and reported."""
        kafka = await self._brokers.topic()
        journal = await Journal.open(
            self._directory / f"{uuid4().hex}.journal", workspace=WORKSPACE, publisher=PUBLISHER
        )
        producer = Producer(kafka, deadline=DEADLINE)
        transport = KafkaTransport(producer, kafka.topic, workspace=WORKSPACE)
        try:
            for batch in parts(workload.envelopes, _JOURNALLED_AT_ONCE):
                await journal.append([_record(one) for one in batch])
            await transport.routes()  # connects
            sender = Sender(Delivery(journal, transport), Envelopes(WORKSPACE, PUBLISHER))
            with _switching():
                clock = Stopwatch()
                sender.drain(float("inf"))
                await sender.run()
                rate = len(workload.envelopes) / clock.seconds
            if journal.pending:
                raise RuntimeError(f"{journal.pending:,} records are left in the journal")
        finally:
            await producer.stop()
            await journal.close()
        self._weigh(_JOURNAL, kafka.topic, workload)
        return rate

    async def bare(self, workload: Workload) -> float:
        """Send records that are encoded already, acknowledged and compressed in the same way."""
        kafka = await self._brokers.topic()
        producer = AIOKafkaProducer(
            bootstrap_servers=kafka.servers,
            acks="all",
            enable_idempotence=True,
            compression_type=kafka.compression,
        )
        await producer.start()
        try:
            await producer.partitions_for(kafka.topic)
            records = list(_encoded(workload))
            clock = Stopwatch()
            waiting = [
                await producer.send(kafka.topic, each.value, key=each.key, headers=each.headers)
                for each in records
            ]
            await asyncio.gather(*waiting)
            rate = len(records) / clock.seconds
        finally:
            await producer.stop()
        self._weigh(_BARE, kafka.topic, workload)
        return rate

    async def first_attempt(self, workload: Workload) -> float:
        """Send a record and wait for it, for some seconds."""
        kafka = await self._brokers.topic()
        return await first_attempt.sent(kafka, _encoded(workload), self._seconds)

    def _weigh(self, name: str, topic: str, workload: Workload) -> None:
        weight = self._brokers.weigh(topic)
        if weight is not None:
            self.bytes_each.setdefault(name, []).append(weight / len(workload.envelopes))


def _encoded(workload: Workload) -> Iterator[KafkaRecord]:
    return map(encode, workload.envelopes)


def _record(envelope: Envelope) -> Record:
    lane = provider_lane(envelope.provider or "", envelope.source, timestamped=True)
    return Record(
        lane, round(envelope.receivedtime.timestamp() * 1e6), envelope.subject, envelope.data
    )


@contextmanager
def _switching() -> Iterator[None]:
    """Let threads take turns as in a publisher's process."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
