"""A Kafka for as long as a trial lasts."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from ingress_runtime.settings import load
from ingress_testbed.servers import kafka_installation, redpanda, tansu
from ingress_testbed.servers.broker import Broker, OwnBroker
from ingress_testbed.servers.capabilities import Capability
from ingress_testbed.servers.errors import NoServerError
from ingress_testbed.servers.settings import KafkaChoice, KafkaHome, TestbedSettings

_OF_ANY_KAFKA = frozenset(
    {
        Capability.IDEMPOTENCE,
        Capability.TRUE_END_OFFSETS,
        Capability.REPORTS_MISSING_TOPICS,
        Capability.ADDS_PARTITIONS,
        Capability.LIMITS_BATCHES,
        Capability.CONSUMER_GROUPS,
    }
)

_NO_KAFKA = (
    "There is no Kafka to use. One of these ways will do: set INGRESS_KAFKA_BOOTSTRAP; `make kafka` "
    "(needs Java 17 and Maven), or KAFKA_HOME; pip install 'telematics-ingress[embedded]', for one "
    "broker in memory; INGRESS_TESTBED_KAFKA=redpanda, where there is Docker.\n"
)


@dataclass(frozen=True, slots=True)
class KafkaCluster:
    """Brokers that answer, without TLS or passwords where they are ours.

    `bootstrap` is `host:port[,host:port]`; `description` is for people: `Apache Kafka 4.1.0`.
    `brokers` are ours to mistreat; there are none where the cluster is somebody else's.
    """

    bootstrap: str
    description: str
    capabilities: frozenset[Capability]
    brokers: Sequence[Broker] = ()


class _Kind(Protocol):
    """A kind of broker that can be run here."""

    @property
    def description(self) -> str: ...

    def capabilities(self, count: int) -> frozenset[Capability]: ...

    def create(self, directory: Path, count: int) -> list[OwnBroker]: ...


@contextmanager
def running_kafka(
    directory: Path,
    *,
    choice: KafkaChoice = "auto",
    brokers: Literal[1, 3] = 1,
    settings: TestbedSettings | None = None,
    home: KafkaHome | None = None,
) -> Iterator[KafkaCluster]:
    """Give a Kafka that answers, and end it at the end.

    The first of these that is to be had: the cluster at INGRESS_KAFKA_BOOTSTRAP; Apache Kafka
    (KAFKA_HOME, PATH, or fetched by `make kafka`); `tansu` on PATH; the wheel of the extra
    `[embedded]`. `choice`, or INGRESS_TESTBED_KAFKA where `choice` is `auto`, allows one of them
    only; `redpanda`, in a container, comes by choice alone. `brokers` is how many to start, where
    they are ours: with three of Apache Kafka topics are replicated thrice, with
    min.insync.replicas=2, and one broker may be lost.

    Brokers of ours listen on 127.0.0.1 at free ports, keep everything in `directory`/kafka, make no
    topic by themselves if they can help it, and stop even if this process is killed. Their data
    are removed at the end, the logs stay.

    Raises NoServerError, naming the ways, or ServerFailedError with the end of a broker's log.
    """
    if settings is None:
        (settings,) = load(TestbedSettings)
    choice = settings.testbed_kafka if choice == "auto" else choice
    if choice in {"auto", "address"} and settings.kafka_bootstrap is not None:
        address = settings.kafka_bootstrap
        yield KafkaCluster(address, "Kafka (INGRESS_KAFKA_BOOTSTRAP)", _OF_ANY_KAFKA)
        return
    if choice == "address":
        raise NoServerError("INGRESS_KAFKA_BOOTSTRAP is not set: set it to host:port[,host:port]")
    if choice == "redpanda":
        with redpanda.running() as address:
            yield KafkaCluster(address, "Redpanda (container)", _OF_ANY_KAFKA)
        return
    if home is None:
        (home,) = load(KafkaHome)
    kind = _find(choice, home, brokers)
    place = directory.absolute() / "kafka"
    ours = kind.create(place, brokers)
    try:
        _start_together(ours)
        addresses = ",".join(f"127.0.0.1:{broker.port}" for broker in ours)
        yield KafkaCluster(addresses, kind.description, kind.capabilities(brokers), ours)
    finally:
        for broker in ours:
            broker.kill()
        for data in place.glob("*/data"):
            shutil.rmtree(data, ignore_errors=True)


def _find(choice: KafkaChoice, home: KafkaHome, brokers: int) -> _Kind:
    ways: list[tuple[str, Callable[[], _Kind]]] = []
    if choice in {"auto", "installed"}:
        fetched = kafka_installation.FETCHED
        ways.append(("installed", lambda: kafka_installation.find(home.kafka_home, fetched)))
        ways.append(("installed", tansu.find_installed))
    if choice in {"auto", "embedded"}:
        ways.append(("embedded", tansu.find_embedded))
    objections: list[str] = []
    for name, find in ways:
        try:
            kind = find()
        except NoServerError as objection:
            objections.append(f"{name}: {objection.message}")
            continue
        if brokers == 1 or Capability.REPLICATION in kind.capabilities(brokers):
            return kind
        objections.append(f"{name}: {kind.description} is a single broker, not {brokers}")
    raise NoServerError(_NO_KAFKA + "\n".join(objections))


def _start_together(brokers: Sequence[OwnBroker]) -> None:
    """Start all before waiting for any: a quorum needs the others."""
    ports = {broker.port for broker in brokers}
    for broker in brokers:
        broker.launch()
    for broker in brokers:
        broker.wait_until_it_knows(ports)
