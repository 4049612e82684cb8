"""A trace from websocket frame to commit, through real processes and over both ways to core."""

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from core_ingest.store import database
from ingress_testbed.servers.kafka import KafkaCluster
from tests.acceptance.collector import Collector, Span, collecting
from tests.acceptance.messages import NOON, SECOND, frame
from tests.acceptance.processes import PATIENCE, Core, Process
from tests.acceptance.streaming import provider, publisher

pytestmark = pytest.mark.trials

FRAMES = 5
WAY = ["frame received", "journal", "send", "ingest"]

Serve = Callable[[Mapping[str, str]], Core]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture
def serve(database_url: str) -> Iterator[Serve]:
    """Start an API process with these settings beside its own; it is asked to stop at the end."""
    with ExitStack() as resources:

        def start(settings: Mapping[str, str]) -> Core:
            runner = resources.enter_context(asyncio.Runner())
            pool = runner.run(database.connect(database_url, max_size=2))
            resources.callback(lambda: runner.run(pool.close()))
            environ = {"INGRESS_DATABASE_URL": database_url, "CORE_API_PORT": "0", **settings}
            process = resources.enter_context(Process(environ, "api"))
            api = f"http://127.0.0.1:{process.event('api_listening')['port']}"
            client = resources.enter_context(httpx.Client(base_url=api, timeout=PATIENCE))
            resources.callback(process.end)
            return Core(api, client, runner.run, pool)

        yield start


def frames(number: int = FRAMES) -> list[str]:
    return [frame("speed", at, NOON + at * SECOND) for at in range(number)]


def stored(core: Core, workspace: str, number: int = FRAMES) -> None:
    """Wait until so many frames are stored, and no number is open."""
    core.until(workspace, lambda terms: terms["accepted"] == number and not terms["in_flight"])


def went(trace: list[Span]) -> list[str]:
    """Return the steps of a message's way that went well."""
    return [span.name for span in trace if "error.type" not in span.attributes]


def whole(traces: Mapping[str, list[Span]]) -> bool:
    """Tell whether all came that there is to come: what ends first need not be exported first."""
    return sum(len(went(trace)) >= len(WAY) for trace in traces.values()) == FRAMES


def check_way(traces: Mapping[str, list[Span]], door: str, service: str) -> None:
    """Hold every trace to the way of one message, each step a child of the first."""
    assert len(traces) == FRAMES
    for trace in traces.values():
        first, *others = trace
        assert went(trace) == WAY
        assert first.parent == ""
        assert {span.parent for span in others} == {first.id}
        assert {span.service for span in trace[:-1]} == {"ingress-publisher"}
        ingest = trace[-1]
        assert ingest.service == service
        assert ingest.attributes["ingress.door"] == door
        assert ingest.attributes["ingress.outcome"] == "accepted"
        assert ingest.attributes["cloudevents.event_subject"] == "bus_1"


def test_a_trace_over_http_runs_from_frame_to_commit(
    collector: Collector, serve: Serve, workspace: str, tmp_path: Path
) -> None:
    core = serve(collector.environ)
    with (
        provider(frames()) as url,
        publisher(core, workspace, url, tmp_path, settings=collector.environ) as running,
    ):
        stored(core, workspace)
        check_way(collector.until(whole), "http", "ingress-api")
        assert running.end() == 0


@contextmanager
def consuming(database_url: str, settings: Mapping[str, str]) -> Iterator[Process]:
    environ = {
        "INGRESS_DATABASE_URL": database_url,
        "CORE_CONSUMER_METRICS_PORT": "0",
        "CORE_CONSUMER_SESSION_SECONDS": "6",
        **settings,
    }
    with Process(environ, "consumer") as process:
        process.event("consumer_started")
        yield process
        assert process.end() == 0


def test_a_trace_over_kafka_runs_from_frame_to_commit(  # noqa: PLR0917 — fixtures
    collector: Collector,
    serve: Serve,
    database_url: str,
    kafka: KafkaCluster,
    topic: str,
    workspace: str,
    tmp_path: Path,
) -> None:
    core = serve({})
    way = {
        **collector.environ,
        "INGRESS_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "INGRESS_KAFKA_TOPIC": topic,
    }
    with (
        consuming(database_url, {**way, "CORE_CONSUMER_GROUP": topic}),
        provider(frames()) as url,
        publisher(
            core, workspace, url, tmp_path, settings={**way, "INGRESS_TRANSPORT": "kafka"}
        ) as running,
    ):
        stored(core, workspace)
        check_way(collector.until(whole), "kafka", "ingress-consumer")
        assert running.end() == 0


def test_a_trace_goes_on_through_a_restart_of_the_publisher(
    collector: Collector, serve: Serve, workspace: str, tmp_path: Path
) -> None:
    core = serve(collector.environ)
    away = {**collector.environ, "INGRESS_API_URL": f"http://127.0.0.1:{closed_port()}"}
    with (
        provider(frames()) as url,
        publisher(core, workspace, url, tmp_path, settings=away) as first,
    ):
        tried = collector.until(
            lambda traces: (
                len(traces) == FRAMES
                and all("send" in {span.name for span in trace} for trace in traces.values())
            )
        )
        assert first.event("transport_away")["trace_id"] in tried
        assert first.end() == 0
    failures = [span for trace in tried.values() for span in trace if span.name == "send"]
    assert {span.attributes["error.type"] for span in failures} == {"unreachable"}

    with (
        provider() as url,
        publisher(core, workspace, url, tmp_path, settings=collector.environ) as second,
    ):
        stored(core, workspace)
        traces = collector.until(whole)
        assert traces.keys() == tried.keys()
        check_way(traces, "http", "ingress-api")
        assert second.end() == 0


def test_nothing_is_exported_unless_somebody_says_so(
    collector: Collector, serve: Serve, workspace: str, tmp_path: Path
) -> None:
    silent = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    core = serve(silent)
    with (
        provider(frames()) as url,
        publisher(core, workspace, url, tmp_path, settings=silent) as running,
    ):
        stored(core, workspace)
        assert running.end() == 0
    assert collector.requests == 0


@pytest.mark.parametrize("deaf", [False, True], ids=["away", "deaf"])
def test_a_collector_that_is_away_costs_no_message(
    collector: Collector, serve: Serve, workspace: str, tmp_path: Path, deaf: bool
) -> None:
    number = 500
    tight = {**collector.environ, "OTEL_BSP_MAX_QUEUE_SIZE": "8"}
    tight["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] = "4"
    if deaf:
        collector.deaf.set()
    else:
        tight["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{closed_port()}"
    core = serve(tight)
    with (
        provider(frames(number)) as url,
        publisher(core, workspace, url, tmp_path, settings=tight) as running,
    ):
        stored(core, workspace, number)
        assert running.end() == 0
        assert "Queue full" in "".join(running.lines)
    assert collector.requests == 0


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
