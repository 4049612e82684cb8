"""The publisher process: every workspace of a streams.toml, and its health."""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import structlog

from ingress_contracts.control import ConnectionState
from ingress_runtime import collector, metrics
from ingress_runtime.heartbeat import Heartbeat
from ingress_runtime.shutdown import Shutdown
from telematics_publisher.clock import Seconds
from telematics_publisher.delivery import Delivery
from telematics_publisher.intake import Intake
from telematics_publisher.journal.journal import Journal
from telematics_publisher.journal.limits import Limits, Policy
from telematics_publisher.publisher import WorkspacePublisher
from telematics_publisher.records import Envelopes
from telematics_publisher.sender import Pace, Sender
from telematics_publisher.settings import PublisherSettings
from telematics_publisher.stream import Manners, Stream
from telematics_publisher.streams import Workspace
from telematics_publisher.ways import Maker, Way

_INTAKE_BYTES = 64 * 2**20
SWITCH_SECONDS = 0.0005
"""How soon a thread hands the interpreter over. The journal's thread lets go of it at each step of
SQLite; with Python's 5 ms, a busy event loop would slow it down tenfold (measured)."""

log = structlog.get_logger()


class Health(Heartbeat):
    """What the probes of this process answer; read by the metrics server's threads.

    Alive: the event loop turns. Ready: every sender works and every stream is subscribed.
    """

    def __init__(self, clock: Seconds = time.monotonic) -> None:
        super().__init__(clock)
        self._publishers: list[WorkspacePublisher] = []
        self._stopping = False

    def watch(self, publisher: WorkspacePublisher) -> None:
        """Let readiness depend on `publisher` too."""
        self._publishers.append(publisher)

    def stop(self) -> None:
        """Stop being ready."""
        self._stopping = True

    def ready(self) -> bool:
        """Tell whether frames flow from every stream towards core."""
        return (
            not self._stopping
            and bool(self._publishers)
            and all(
                one.sender.stopped is None
                and all(stream.state is ConnectionState.SUBSCRIBED for stream in one.streams)
                for one in self._publishers
            )
        )


async def run(
    workspaces: Sequence[Workspace],
    settings: PublisherSettings,
    way: Way,
    stop: Shutdown,
    manners: Manners | None = None,
) -> None:
    """Serve `workspaces` until `stop` is requested, then drain within the grace period.

    Raises WayClosed, JournalError (JournalBroken within an ExceptionGroup), OSError where the metrics port
    cannot be bound.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    settings.journal_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    health = Health()
    async with AsyncExitStack() as resources:
        server = metrics.start_server(
            settings.metrics_host,
            settings.metrics_port,
            probes={"/livez": health.alive, "/readyz": health.ready},
        )
        resources.callback(server.close)
        log.info("metrics_served", host=server.host, port=server.port)
        ended = asyncio.Event()
        transports = await resources.enter_async_context(
            way.opened(deadline=settings.send_deadline_seconds, window=settings.window)
        )
        publishers = [
            await _open(workspace, settings, transports, resources, manners)
            for workspace in workspaces
        ]
        collector.spare_batches()
        async with asyncio.TaskGroup() as tasks:
            beat = tasks.create_task(health.beat())
            running = [tasks.create_task(one.run(ended)) for one in publishers]
            for one in publishers:
                health.watch(one)
            await stop.wait()
            health.stop()
            ended.set()
            await asyncio.wait(running)
            beat.cancel()


async def _open(
    workspace: Workspace,
    settings: PublisherSettings,
    transports: Maker,
    resources: AsyncExitStack,
    manners: Manners | None,
) -> WorkspacePublisher:
    path = settings.journal_dir / f"{workspace.name}.journal"
    journal = await Journal.open(
        path,
        workspace=workspace.name,
        publisher=workspace.publisher,
        limits=_limits(settings),
    )
    resources.push_async_callback(journal.close)
    transport = transports(workspace)
    resources.push_async_callback(transport.aclose)
    log.info(
        "workspace_opened",
        workspace=workspace.name,
        publisher=workspace.publisher,
        journal=str(path),
        pending=journal.pending,
        streams=len(workspace.streams),
    )
    intake = Intake(max_records=settings.intake_records, max_bytes=_INTAKE_BYTES)
    sender = Sender(
        Delivery(journal, transport, workspace=workspace.name),
        Envelopes(workspace.name, workspace.publisher),
        pace=Pace(
            records=settings.batch_records,
            bytes=settings.batch_bytes,
            window=settings.window,
            checkpoint_seconds=settings.checkpoint_seconds,
        ),
    )
    return WorkspacePublisher(
        journal=journal,
        intake=intake,
        streams=[Stream(entry, provider, intake, manners) for entry, provider in workspace.streams],
        sender=sender,
        grace_seconds=settings.grace_seconds,
    )


def _limits(settings: PublisherSettings) -> Limits:
    age = settings.journal_max_age_seconds
    return Limits(
        max_bytes=settings.journal_max_bytes,
        max_age=None if age is None else round(age * 1e6),
        policy=Policy(settings.journal_when_full),
    )
