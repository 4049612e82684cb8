"""Two seconds of delay at one hop are seen at that hop, and at no other: real processes."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from urllib.request import urlopen
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core_api.keys import Role
from ingress_testbed.demo.installation import streams_toml
from ingress_testbed.faults.proxy import Proxy
from ingress_testbed.servers.broker import Broker
from ingress_testbed.servers.kafka import KafkaCluster, running_kafka
from tests.acceptance.messages import frame
from tests.acceptance.processes import PATIENCE, Core, Process
from tests.acceptance.streaming import provider

pytestmark = pytest.mark.trials

HOPS = ("provider", "publisher", "transport", "core")
DELAY = 2.0
"""Seconds."""

ELSEWHERE = 0.2
"""What the median of any other hop may rise by, in seconds."""

MESSAGES = 5
PACE = {"PUBLISHER_CHECKPOINT_SECONDS": "60", "PUBLISHER_GRACE_SECONDS": "1"}
"""One message at a time is under way, and no checkpoint beside it."""


@dataclass
class Delay:
    """What is done to one hop: faults of the processes, a long road, or something with each message."""

    publisher: str = ""
    core: str = ""
    road: float = 0.0
    at_provider: float = 0.0
    broker: Broker | None = None


@dataclass
class Journey:
    """One life of all processes: frames go in one after another, and the hops are read from core."""

    frames: "queue.Queue[str | None]"
    metrics: str
    delay: Delay
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1_000)))

    def send(self) -> None:
        """Send one frame, and wait until it is committed."""
        before = sum(self._counts("core").values())
        now = datetime.now(UTC)
        time.sleep(self.delay.at_provider)  # the delay itself, as is the next one
        if self.delay.broker is not None:
            self.delay.broker.hang()
        self.frames.put(frame("speed", 10 * next(self.numbers), now))
        if self.delay.broker is not None:
            time.sleep(DELAY)
            self.delay.broker.resume()
        deadline = time.monotonic() + PATIENCE
        while sum(self._counts("core").values()) == before:
            assert time.monotonic() < deadline, "the message does not arrive"
            time.sleep(0.05)  # between two looks

    def medians(self) -> Mapping[str, float]:
        """Return the median of each hop (s) over some messages, as Prometheus has it."""
        before = {hop: self._counts(hop) for hop in HOPS}
        for _ in range(MESSAGES):
            self.send()
        return {hop: median(before[hop], self._counts(hop)) for hop in HOPS}

    def _counts(self, hop: str) -> Mapping[float, float]:
        """Return how many messages each bucket holds, by its upper bound."""
        with urlopen(self.metrics) as answer:  # noqa: S310 — ours, on this machine
            text = answer.read().decode()
        cumulative = sorted(
            (float(sample.labels["le"]), sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "core_ingest_hop_seconds_bucket" and sample.labels["hop"] == hop
        )
        counts, below = {}, 0.0
        for bound, total in cumulative:
            counts[bound] = total - below
            below = total
        return counts


def median(before: Mapping[float, float], after: Mapping[float, float]) -> float:
    """Return histogram_quantile(0.5, ...) of what came between."""
    counts = {bound: after[bound] - before.get(bound, 0.0) for bound in sorted(after)}
    rank, seen, lower = sum(counts.values()) / 2, 0.0, 0.0
    for bound, count in counts.items():
        if count and seen + count >= rank:
            return lower if bound == inf else lower + (bound - lower) * (rank - seen) / count
        seen, lower = seen + count, bound
    raise AssertionError("nothing was measured")


@contextmanager
def road_to(port: int, delay: float) -> Iterator[str]:
    """Give a road to a server, on a thread of its own; each chunk is late by `delay` seconds."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    proxy = Proxy("127.0.0.1", port)
    proxy.delay = delay
    serving = proxy.serving()
    asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result()
    try:
        yield f"http://127.0.0.1:{proxy.port}"
    finally:
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def armed(faults: str) -> Mapping[str, str]:
    """Return the settings that make a process dawdle."""
    return {"INGRESS_FAULTS": faults, "INGRESS_FAULTS_ALLOWED": "yes"} if faults else {}


@contextmanager
def journey(
    core: Core, database: str, directory: Path, delay: Delay, topic: Mapping[str, str] | None
) -> Iterator[Journey]:
    """Start an API, a publisher, over Kafka a consumer too, and a provider that waits for frames."""
    workspace = f"w-{uuid4().hex}"
    directory.mkdir()
    frames: queue.Queue[str | None] = queue.Queue()
    storing = {"INGRESS_DATABASE_URL": database, **armed(delay.core)}
    with ExitStack() as stack:
        api = stack.enter_context(Process({**storing, "CORE_API_PORT": "0"}, "api"))
        port = api.event("api_listening")["port"]
        metrics = f"http://127.0.0.1:{port}/metrics"
        way = {"INGRESS_API_URL": stack.enter_context(road_to(port, delay.road))}
        if topic is not None:
            way = {**topic, "INGRESS_TRANSPORT": "kafka"}
            reading = {**storing, **topic, "CORE_CONSUMER_METRICS_PORT": "0"}
            reading["CORE_CONSUMER_GROUP"] = workspace  # the last one still waits for a dead member
            consumer = stack.enter_context(Process(reading, "consumer"))
            metrics = f"http://127.0.0.1:{consumer.event('metrics_served')['port']}/metrics"
            consumer.event("consumer_started")
        url = stack.enter_context(provider(iter(frames.get, None)))
        stack.callback(frames.put, None)
        streams = directory / "streams.toml"
        streams.write_text(streams_toml("edge-1", url, {"bus_1": ["speed"]}, workspace))
        edge = {
            **PACE,
            **way,
            **armed(delay.publisher),
            "INGEST_KEY": core.key(Role.INGEST, workspace),
            "PROVIDER_KEY": "provider-key",
            "PUBLISHER_JOURNAL_DIR": str(directory / "journals"),
            "PUBLISHER_METRICS_PORT": "0",
        }
        stack.enter_context(Process(edge, "publisher", "run", "--streams", str(streams)))
        made = Journey(frames, metrics, delay)
        made.send()  # connects, makes the asset
        yield made


def assert_only_the_delayed_hop_is_late(
    delays: Mapping[str, Delay], medians: Callable[[str, Delay], Mapping[str, float]]
) -> None:
    usual = medians("usual", Delay())
    for delayed, delay in delays.items():
        found = medians(delayed, delay)
        rises = {hop: found[hop] - usual[hop] for hop in HOPS}
        late = rises.pop(delayed)
        assert DELAY - ELSEWHERE <= late <= DELAY + 0.5, (delayed, found, usual)
        assert all(rise < ELSEWHERE for rise in rises.values()), (delayed, found, usual)


def test_over_http(core: Core, own_database_url: str, tmp_path: Path) -> None:
    def medians(name: str, delay: Delay) -> Mapping[str, float]:
        with journey(core, own_database_url, tmp_path / name, delay, None) as made:
            return made.medians()

    assert_only_the_delayed_hop_is_late(
        {
            "provider": Delay(at_provider=DELAY),
            "publisher": Delay(publisher=f"publisher.batch.taken:delay@{DELAY}"),
            "transport": Delay(road=DELAY),
            "core": Delay(core=f"core.transaction.locked:delay@{DELAY}"),
        },
        medians,
    )


@pytest.mark.broker
def test_over_kafka(core: Core, own_database_url: str, tmp_path: Path) -> None:
    def medians(name: str, delay: Delay) -> Mapping[str, float]:
        topic = fresh_topic(cluster)
        with journey(core, own_database_url, tmp_path / name, delay, topic) as made:
            return made.medians()

    with running_kafka(tmp_path, choice="embedded") as cluster:
        (broker,) = cluster.brokers
        assert_only_the_delayed_hop_is_late(
            {
                "provider": Delay(at_provider=DELAY),
                "publisher": Delay(publisher=f"publisher.batch.taken:delay@{DELAY}"),
                "transport": Delay(broker=broker),
                "core": Delay(core=f"core.transaction.locked:delay@{DELAY}"),
            },
            medians,
        )


def fresh_topic(cluster: KafkaCluster) -> Mapping[str, str]:
    """Make a topic as a user would, and return the settings by which processes find it."""
    settings = {
        "INGRESS_KAFKA_BOOTSTRAP": cluster.bootstrap,
        "INGRESS_KAFKA_TOPIC": f"telematics.delays-{uuid4().hex[:8]}",
    }
    with Process(settings, "topics", "create", "--partitions", "1", "--retention", "1d") as made:
        assert made.ended() == 0
    return settings
