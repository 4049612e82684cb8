"""`ingress publisher check` and the edge's part of `ingress doctor`, against a door and a provider."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.server import ServerConnection

from ingress_contracts.http import Answer, ItemOutcome, encode_answer
from ingress_contracts.kinds import CHECKPOINT
from ingress_contracts.probe import TAKEN, end_detail
from ingress_runtime.findings import Finding, Level
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_testbed.servers.capabilities import Capability
from ingress_testbed.servers.kafka import KafkaCluster
from telematics_publisher import check, streams
from telematics_publisher.checks.streams import sample
from telematics_publisher.journal.journal import Journal
from telematics_publisher.provider import installed
from telematics_publisher.settings import PublisherSettings, TransportSettings
from telematics_publisher.ways import Way

if TYPE_CHECKING:
    from tests.integration.publisher.door import Door, Request
    from tests.integration.publisher.provider_server import ProviderServer

pytestmark = pytest.mark.anyio

KEY_ID = "0123456789abcdef"
SECRETS = {"ACME_KEY": f"ik_{KEY_ID}_{'s' * 43}", "VIRICITI_KEY": "provider-secret-key"}
STREAMS = """
[workspaces.acme]
publisher = "edge-1"
api_key = {{ env = "ACME_KEY" }}

[[streams]]
name = "buses"
workspace = "acme"
provider = "viriciti"
url = "{url}"
credential = {{ env = "VIRICITI_KEY" }}
[streams.vehicles]
arcc_004 = ["soc"]
"""


class Edge:
    """An edge to be checked: its streams.toml, its settings, the door and the provider."""

    def __init__(self, directory: Path, door: "Door", provider: "ProviderServer") -> None:
        self.path = directory / "streams.toml"
        self.journals = directory / "journals"
        self.api_url = door.url
        self.path.write_text(STREAMS.format(url=provider.url))

    async def check(self, **options: Any) -> dict[str, Finding]:
        """Return the findings by subject."""
        found = check.check(
            self.path,
            PublisherSettings(journal_dir=self.journals),
            Way(TransportSettings(api_url=self.api_url)),
            **options,
        )
        return await by_subject(found)

    async def examine(self) -> dict[str, Finding]:
        """Return what the doctor finds."""
        environ = {
            **SECRETS,
            "INGRESS_API_URL": self.api_url,
            "PUBLISHER_STREAMS": str(self.path),
            "PUBLISHER_JOURNAL_DIR": str(self.journals),
        }
        return await by_subject(check.EXAMINATION.examine(environ))


async def by_subject(findings: AsyncIterator[Finding]) -> dict[str, Finding]:
    found = [one async for one in findings]
    assert all((one.remedy is None) is (one.level is Level.OK) for one in found)
    assert not any(secret in repr(found) for secret in SECRETS.values())
    return {one.subject: one for one in found}


@pytest.fixture
def core(door: "Door", doors: Any) -> "Door":
    """A door that answers as core does: ready, and with a refusal that stores nothing."""

    def reply(request: "Request") -> Any:
        headers = {"date": formatdate(usegmt=True)}
        if request.path == "/readyz":
            return doors.Reply(200, b'{"ready":true}', headers)
        answer = doors.accept(request, refused=[0], reason="unreadable_body")
        return doors.Reply(200, answer.body, headers)

    door.reply = reply
    return door


@pytest.fixture
def edge(
    tmp_path: Path, core: "Door", provider: "ProviderServer", monkeypatch: pytest.MonkeyPatch
) -> Edge:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return Edge(tmp_path, core, provider)


@pytest.fixture
def driving(provider: "ProviderServer", provider_servers: Any) -> None:
    """Let the provider send five frames."""

    async def drive(socket: ServerConnection) -> None:
        for number in range(5):
            await socket.send(provider_servers.frame(number))
        await socket.wait_closed()

    provider.behaviours = [drive]


def answers(doors: Any, status: int, problem: dict[str, object]) -> Callable[[Any], Any]:
    """Let core be ready, and its ingest door answer with a problem."""

    def reply(request: Any) -> Any:
        if request.path == "/readyz":
            return doors.Reply(200, b'{"ready":true}')
        return doors.Reply(status, json.dumps(problem).encode())

    return reply


@pytest.mark.usefixtures("driving")
async def test_all_is_well_and_the_first_three_frames_are_shown(edge: Edge) -> None:
    found = await edge.check()
    assert {one.level for one in found.values()} == {Level.OK}
    assert found["streams"].found == f"{edge.path}: 1 workspace, 1 stream"
    assert found["core"].found == f"{edge.api_url} is ready"
    assert found["clock"].found == "this machine's clock agrees with core's"
    assert "bound to workspace acme and publisher edge-1" in found["key of acme"].found
    frames = found["stream buses of acme"].details
    assert [json.loads(frame)["payload"]["value"] for frame in frames] == [0, 1, 2]


@pytest.mark.usefixtures("driving")
async def test_a_misspelt_label_is_told_and_one_of_the_providers_own_is_shown(edge: Edge) -> None:
    edge.path.write_text(edge.path.read_text().replace('["soc"]', '["soc", "curent"]'))
    found = (await edge.check())["labels of buses of acme"]
    assert (found.level, found.found) == (Level.WARN, "1 label that core does not know")
    (shown,) = found.details
    assert shown == (
        "`curent` of arcc_004 is no label that core knows: it will be kept as signal "
        "`viriciti.curent`. Did you mean `current`?"
    )
    edge.path.write_text(edge.path.read_text().replace('"curent"', '"doors"'))
    found = (await edge.check())["labels of buses of acme"]
    assert found.level is Level.OK
    assert "`viriciti.doors`" in found.details[0]


async def test_streams_are_tried_at_once_and_told_in_the_file_s_order(
    edge: Edge, provider: "ProviderServer", provider_servers: Any
) -> None:
    late = asyncio.Event()

    async def drive(socket: ServerConnection) -> None:
        assert socket.request is not None
        if socket.request.path.startswith("/late"):
            await late.wait()
        for number in range(3):
            await socket.send(provider_servers.frame(number))
        await socket.wait_closed()
        late.set()  # only when the second stream has been heard may the first one speak

    provider.behaviours = [drive]
    tram = STREAMS[STREAMS.index("[[streams]]") :].replace("buses", "trams")
    host = provider.url.removesuffix("/api/v2/live")
    edge.path.write_text(STREAMS.format(url=f"{host}/late") + tram.format(url=provider.url))
    found = await edge.check()
    told = [subject for subject in found if subject.startswith("stream ")]
    assert told == ["stream buses of acme", "stream trams of acme"]
    assert {found[subject].level for subject in told} == {Level.OK}


@pytest.mark.usefixtures("driving")
async def test_nothing_is_journalled_and_only_an_empty_checkpoint_is_sent(
    edge: Edge, core: "Door"
) -> None:
    await edge.check()
    assert not edge.journals.exists()
    (probe,) = [request for request in core.requests if request.path != "/readyz"]
    (envelope,) = probe.envelopes
    assert (envelope.type, envelope.data) == (CHECKPOINT, b"{}")
    assert (envelope.workspaceid, envelope.publisherid) == ("acme", "edge-1")


@pytest.mark.parametrize(
    ("reason", "found"),
    [
        ("foreign_workspace", "it is valid, but for another workspace than acme"),
        ("foreign_publisher", "it is valid, but for another publisher than edge-1"),
        ("invalid_data", "core answers the question in its own way: invalid_data"),
    ],
)
async def test_a_key_that_is_bound_elsewhere_is_told(
    edge: Edge, core: "Door", doors: Any, reason: str, found: str
) -> None:
    core.reply = lambda request: (
        doors.Reply(200, b'{"ready":true}')
        if request.path == "/readyz"
        else doors.accept(request, refused=[0], reason=reason)
    )
    finding = (await edge.examine())["key of acme"]
    assert (finding.level, finding.found) == (Level.FAIL, found)


async def test_a_key_that_ends_wants_its_successor_in_time(
    edge: Edge, core: "Door", doors: Any
) -> None:
    ends = datetime.now(UTC) + timedelta(hours=23, minutes=30)
    taken = ItemOutcome(index=0, id=None, outcome="refused", reason=TAKEN, detail=end_detail(ends))
    core.reply = lambda request: doors.Reply(
        200,
        b'{"ready":true}'
        if request.path == "/readyz"
        else encode_answer(Answer(outcomes=(taken,))),
    )
    finding = (await edge.examine())["key of acme"]
    assert finding.level is Level.WARN
    assert "bound to workspace acme and publisher edge-1, but it ends in 23 h, at 2" in (
        finding.found
    )
    assert str(finding.remedy).startswith("Put its successor where `api_key` in streams.toml")
    assert "it reads keys only at its start" in str(finding.remedy)


async def test_a_key_that_core_does_not_take_is_told_with_core_s_words(
    edge: Edge, core: "Door", doors: Any
) -> None:
    problem: dict[str, object] = {
        "title": "A valid API key is needed",
        "detail": "Revoked.",
        "remedy": "`ingress keys create` makes another.",
    }
    core.reply = answers(doors, 401, problem)
    finding = (await edge.examine())["key of acme"]
    assert finding.level is Level.FAIL
    assert finding.found == (
        f"core does not take {KEY_ID} of environment variable ACME_KEY for workspace acme: "
        "HTTP 401: A valid API key is needed: Revoked."
    )
    assert "environment variable ACME_KEY" in str(finding.remedy)
    assert "ingress keys create --role ingest --workspace acme --publisher edge-1" in str(
        finding.remedy
    )


async def test_a_text_that_is_no_key_is_told_before_it_is_sent_anywhere(
    edge: Edge, core: "Door", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_KEY", f"key: {SECRETS['ACME_KEY']}")
    finding = (await edge.check(seconds=0.05))["key of acme"]
    assert finding.level is Level.FAIL
    assert finding.found.startswith("environment variable ACME_KEY holds no key: there is more")
    assert {request.path for request in core.requests} == {"/readyz"}


async def test_a_core_that_has_no_time_is_told(edge: Edge, core: "Door", doors: Any) -> None:
    core.reply = answers(doors, 503, {"title": "The database is away"})
    assert "did not say" in (await edge.examine())["key of acme"].found


async def test_a_core_that_is_not_there_is_told_once(edge: Edge) -> None:
    edge.api_url = "http://127.0.0.1:1"
    found = await edge.examine()
    assert found["core"].level is Level.FAIL
    assert "ingress api" in str(found["core"].remedy)
    assert "key of acme" not in found


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ((200, b"<html>hello</html>"), "is something else"),
        ((404, b'{"title":"not here"}'), "is something else"),
        ((503, b'{"objections":["x"],"detail":"Migrations are pending."}'), "is not ready: Migr"),
    ],
)
async def test_an_answer_that_is_not_a_ready_core_s_is_told(
    edge: Edge, core: "Door", doors: Any, answer: tuple[int, bytes], found: str
) -> None:
    core.reply = lambda _request: doors.Reply(*answer)
    finding = (await edge.examine())["core"]
    assert finding.level is Level.FAIL
    assert found in finding.found


async def test_a_core_that_speaks_http_where_https_was_asked_for_is_told(edge: Edge) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        edge.api_url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finding = (await edge.examine())["core"]
    assert finding.level is Level.FAIL
    assert finding.found == f"{edge.api_url} does not answer: it speaks http there, not https"
    assert "INGRESS_API_URL" in str(finding.remedy)


async def test_a_clock_that_is_two_hours_ahead_is_told(
    edge: Edge, core: "Door", doors: Any
) -> None:
    headers = {"date": "Thu, 01 Jan 2026 12:00:00 GMT"}
    core.reply = lambda _request: doors.Reply(200, b'{"ready":true}', headers)
    finding = (await edge.examine())["clock"]
    assert finding.level is Level.FAIL
    assert "ahead of core's" in finding.found
    assert "NTP" in str(finding.remedy)


async def test_a_refused_credential_is_told(edge: Edge, provider: "ProviderServer") -> None:
    provider.refuse = HTTPStatus.UNAUTHORIZED
    finding = (await edge.check())["stream buses of acme"]
    assert finding.found == "the provider refused the credential: HTTP 401"
    assert "`credential` in streams.toml" in str(finding.remedy)


async def test_a_wrong_address_is_told(edge: Edge, provider: "ProviderServer") -> None:
    provider.refuse = HTTPStatus.NOT_FOUND
    assert "`url` in streams.toml" in str((await edge.check())["stream buses of acme"].remedy)
    edge.path.write_text(STREAMS.format(url="ws://127.0.0.1:1"))
    assert "no connection" in (await edge.check())["stream buses of acme"].found
    assert "127.0.0.1:1: no connection" in (await edge.examine())["provider viriciti"].found


async def test_labels_that_the_provider_left_out_are_named(
    edge: Edge, provider: "ProviderServer"
) -> None:
    async def shorten(socket: ServerConnection) -> None:
        await socket.send('{"vehicles":{"arcc_004":[]}}')
        for _ in range(3):
            await socket.send('{"type":"error"}')
        await socket.wait_closed()

    provider.echo = False
    provider.behaviours = [shorten]
    finding = (await edge.check())["stream buses of acme"]
    assert finding.level is Level.WARN
    assert "not confirmed: arcc_004 (soc)" in finding.found
    assert len(finding.details) == 3


async def test_a_provider_that_hangs_up_is_told_with_what_it_sent(
    edge: Edge, provider: "ProviderServer"
) -> None:
    async def hang_up(socket: ServerConnection) -> None:
        await socket.send('{"type":"error","payload":"no access to ?apiKey=provider-secret-key"}')
        await socket.close(1008, "no access")

    provider.behaviours = [hang_up]
    finding = (await edge.check())["stream buses of acme"]
    assert finding.level is Level.FAIL
    assert "no access" in finding.found
    assert "***" in finding.details[0]


async def test_silence_after_the_echo_is_worth_a_look(edge: Edge) -> None:
    finding = (await edge.check(seconds=0.05))["stream buses of acme"]
    assert finding.level is Level.WARN
    assert "no frame came" in finding.found


async def test_no_echo_at_all_is_told(edge: Edge, provider: "ProviderServer") -> None:
    provider.echo = False
    (acme,) = streams.load(edge.path, SECRETS, installed())
    ((entry, stream),) = acme.streams
    finding = await sample(entry, stream, seconds=30.0, echo_within=0.05)
    assert finding.level is Level.FAIL
    assert "did not confirm the subscription" in finding.found


@pytest.mark.usefixtures("driving")
async def test_a_journal_in_use_is_worth_a_look_before_a_start_and_well_for_the_doctor(
    edge: Edge,
) -> None:
    edge.journals.mkdir()
    path = edge.journals / "acme.journal"
    journal = await Journal.open(path, workspace="acme", publisher="edge-1")
    try:
        assert (await edge.check())["journal of acme"].level is Level.WARN
        assert (await edge.examine())["journal of acme"].level is Level.OK
    finally:
        await journal.close()
    free = (await edge.check())["journal of acme"]
    assert free.level is Level.OK
    assert "is free; 0 records in it wait for core" in free.found


async def test_the_records_that_wait_are_counted(
    edge: Edge, frames: Callable[[int], list[Any]]
) -> None:
    edge.journals.mkdir()
    path = edge.journals / "acme.journal"
    journal = await Journal.open(path, workspace="acme", publisher="edge-1")
    await journal.append(frames(7))
    await journal.close()
    before = path.read_bytes()
    finding = (await edge.examine())["journal of acme"]
    assert "7 records in it wait for core, and nobody sends" in finding.found
    assert finding.level is Level.WARN
    assert "`ingress publisher run`" in str(finding.remedy)
    assert path.read_bytes() == before
    about_to_start = (await edge.check(seconds=0.05))["journal of acme"]
    assert about_to_start.level is Level.OK


async def test_one_record_that_waits_is_one_record(
    edge: Edge, frames: Callable[[int], list[Any]]
) -> None:
    edge.journals.mkdir()
    path = edge.journals / "acme.journal"
    journal = await Journal.open(path, workspace="acme", publisher="edge-1")
    await journal.append(frames(1))
    await journal.close()
    assert (
        "is free; 1 record in it waits for core" in (await edge.examine())["journal of acme"].found
    )


async def test_somebody_else_s_journal_is_told(edge: Edge) -> None:
    edge.journals.mkdir()
    path = edge.journals / "acme.journal"
    await (await Journal.open(path, workspace="acme", publisher="edge-2")).close()
    finding = (await edge.examine())["journal of acme"]
    assert finding.level is Level.FAIL
    assert "belongs to publisher edge-2 of workspace acme" in finding.found


async def test_a_file_that_is_no_journal_is_told(edge: Edge) -> None:
    edge.journals.mkdir()
    (edge.journals / "acme.journal").write_bytes(b"not a database, " * 100)
    finding = (await edge.examine())["journal of acme"]
    assert finding.level is Level.FAIL
    assert "Do not delete it" in str(finding.remedy)


async def test_a_directory_that_cannot_be_one_is_told(edge: Edge) -> None:
    edge.journals.write_text("a file")
    finding = (await edge.examine())["journals"]
    assert finding.level is Level.FAIL
    assert "PUBLISHER_JOURNAL_DIR" in str(finding.remedy)
    in_the_way, edge.journals = edge.journals, edge.journals / "of" / "buses"
    finding = (await edge.examine())["journals"]
    assert finding.found == (f"{edge.journals} cannot be written to: {in_the_way}: Not a directory")


async def test_what_is_wrong_in_the_file_does_not_keep_core_from_being_looked_at(
    edge: Edge,
) -> None:
    edge.path.write_text("[workspaces\n")
    found = await edge.check()
    assert found["streams"].level is Level.FAIL
    assert "line 1, column 12" in found["streams"].found
    assert found["core"].level is Level.OK


async def test_an_unknown_stream_is_answered_with_the_names(edge: Edge) -> None:
    finding = (await edge.check(only="busses"))["--stream"]
    assert finding.remedy == "Choose one of: buses."


@pytest.mark.capability(Capability.REPORTS_MISSING_TOPICS)
async def test_over_kafka_brokers_and_topic_are_looked_at_and_no_key_is_asked_for(
    edge: Edge, kafka: KafkaCluster, topic: str
) -> None:
    environ = {
        **SECRETS,
        "INGRESS_TRANSPORT": "kafka",
        "INGRESS_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "PUBLISHER_STREAMS": str(edge.path),
        "PUBLISHER_JOURNAL_DIR": str(edge.journals),
    }
    del environ["ACME_KEY"]
    found = await by_subject(check.EXAMINATION.examine({**environ, "INGRESS_KAFKA_TOPIC": topic}))
    assert found["kafka"].level is Level.OK
    assert found[f"topic {topic}"].level is Level.OK
    assert not {"core", "clock", "key of acme"} & found.keys()
    found = await by_subject(
        check.EXAMINATION.examine({**environ, "INGRESS_KAFKA_TOPIC": "not-there"})
    )
    assert found["topic not-there"].level is Level.FAIL
    assert "ingress topics create" in str(found["topic not-there"].remedy)


async def test_brokers_that_do_not_answer_are_told_with_what_to_do(edge: Edge) -> None:
    way = Way(
        TransportSettings(transport="kafka"), KafkaSettings(bootstrap="no-such-host.invalid:9092")
    )
    found = await by_subject(
        check.check(edge.path, PublisherSettings(journal_dir=edge.journals), way, seconds=0.1)
    )
    assert found["kafka"].level is Level.FAIL
    assert "no-such-host.invalid:9092" in found["kafka"].found
    assert "INGRESS_KAFKA_BOOTSTRAP" in str(found["kafka"].remedy)
