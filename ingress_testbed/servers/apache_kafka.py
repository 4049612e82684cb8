"""Apache Kafka in KRaft mode, from its jars: brokers that are their own controllers."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ingress_testbed.servers import guardian
from ingress_testbed.servers.broker import OwnBroker, Recipe
from ingress_testbed.servers.capabilities import Capability
from ingress_testbed.servers.errors import ServerFailedError
from ingress_testbed.servers.ports import free_ports

_CLUSTER_ID = "aW5ncmVzcy10ZXN0YmVkIQ"  # any UUID in unpadded base64
_CONTROLLED_SHUTDOWN = guardian.Manner(signal.SIGTERM, grace_seconds=20)
_CONFIGURATION: Mapping[str, str] = MappingProxyType(
    {
        "auto.create.topics.enable": "false",
        "broker.session.timeout.ms": "3000",  # a killed broker may not come back before that
        "broker.heartbeat.interval.ms": "500",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",  # dead members may be found out soon
        "offsets.topic.num.partitions": "3",
        "share.coordinator.state.topic.num.partitions": "3",
        "transaction.state.log.num.partitions": "3",
        "num.partitions": "3",
    }
)
_SMALL_AND_QUICK = (
    "-Xms64m",
    "-Xmx320m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # half the time to start; throughput is not what trials measure
    "-XX:-UsePerfData",  # it would write to /tmp
    "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",  # of the fetched jars
    "-Dlog4j2.level=WARN",  # of an installation
)


@dataclass(frozen=True, slots=True)
class ApacheKafka:
    """A Kafka to run: the directory of its jars, its version, and the Java to run it with.

    `archiving`: its processes leave archives of their classes in `jars` when they end.
    """

    jars: Path
    version: str
    java: str
    archiving: bool = False

    @property
    def description(self) -> str:
        """For people: `Apache Kafka 4.1.0`."""
        return f"Apache Kafka {self.version}"

    def capabilities(self, count: int) -> frozenset[Capability]:
        """Return what `count` brokers can do: everything, but one alone has no replica."""
        return frozenset(Capability) - ({Capability.REPLICATION} if count == 1 else set())

    def create(self, directory: Path, count: int) -> list[OwnBroker]:
        """Format storage for `count` brokers below `directory` and return them, not yet started.

        With three of them topics are replicated thrice, and `acks=all` needs two copies. Raises
        ServerFailedError.
        """
        ports = free_ports(2 * count)
        nodes = [
            _Node(at + 1, directory / f"broker-{at + 1}", *ports[2 * at : 2 * at + 2])
            for at in range(count)
        ]
        for node in nodes:
            node.configure(nodes)
        making = [(node, self._format(node)) for node in nodes]
        failed = [node for node, process in making if _ended(process) != 0]
        if failed:
            log = failed[0].log.read_text(errors="replace")
            raise ServerFailedError(f"{self.description} could not format its storage:\n{log}")
        return [OwnBroker(self._recipe(node)) for node in nodes]

    def _format(self, node: "_Node") -> subprocess.Popen[bytes]:
        tool = ("kafka.tools.StorageTool", "format", "--cluster-id", _CLUSTER_ID)
        command = self._java_command(node, *tool, "--config", str(node.configuration))
        with node.log.open("ab") as log:
            return guardian.start(command, log=log, manner=_CONTROLLED_SHUTDOWN)

    def _recipe(self, node: "_Node") -> Recipe:
        return Recipe(
            name=f"{self.description}, broker {node.number}",
            command=self._java_command(node, "kafka.Kafka", str(node.configuration)),
            port=node.port,
            log=node.log,
            manner=_CONTROLLED_SHUTDOWN,
        )

    def _java_command(self, node: "_Node", *arguments: str) -> Sequence[str]:
        """Return the command that runs `arguments`, a class and its own."""
        jars = ":".join(str(jar) for jar in sorted(self.jars.glob("*.jar")))
        scratch = f"-Djava.io.tmpdir={node.scratch}"
        classes = self._archive(self.jars / f"{arguments[0]}.jsa")
        return [self.java, *_SMALL_AND_QUICK, *classes, scratch, "-cp", jars, *arguments]

    def _archive(self, path: Path) -> Sequence[str]:
        if self.archiving:
            return [f"-XX:ArchiveClassesAtExit={path}"]
        return [f"-XX:SharedArchiveFile={path}"] if path.is_file() else []


class _Node:
    """A broker that is a controller too, and what lies in its directory."""

    def __init__(self, number: int, directory: Path, port: int, controller_port: int) -> None:
        self.number = number
        self.directory = directory
        self.port = port
        self.controller_port = controller_port
        self.scratch = directory / "tmp"
        self.configuration = directory / "server.properties"
        self.log = directory / "server.log"

    def configure(self, nodes: Sequence["_Node"]) -> None:
        """Write the configuration."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        voters = ",".join(f"{node.number}@127.0.0.1:{node.controller_port}" for node in nodes)
        settings = {
            "process.roles": "broker,controller",
            "node.id": str(self.number),
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},"
            f"CONTROLLER://127.0.0.1:{self.controller_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.directory / "data"),
            **_CONFIGURATION,
            **_copies(len(nodes)),
        }
        self.configuration.write_text("".join(f"{k}={v}\n" for k, v in settings.items()))


def _copies(nodes: int) -> Mapping[str, str]:
    """Return how often things are kept: thrice on three brokers, of which one may be lost."""
    copies, needed = str(nodes), str(nodes // 2 + 1)
    return {
        "default.replication.factor": copies,
        "min.insync.replicas": needed,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": needed,
    }


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Wait until a command has ended by itself and return its exit code."""
    process.wait()
    return guardian.stop(process)
