"""Bad input against real processes: a clear answer that names what is wrong, and nothing lost.

One API process and one Postgres serve the whole file. Each row of the tables is a test: it tells
what comes in, what is answered, and in what words.
"""

import asyncio
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from websockets.sync.server import ServerConnection, serve

from core_api.key_store import KeyStore
from core_api.keys import Role
from core_ingest.store import database
from ingress_contracts.content_id import content_id
from ingress_contracts.envelope import MAX_DATA_BYTES
from ingress_contracts.http import BATCH, STRUCTURED
from ingress_contracts.kinds import PROVIDER_MESSAGE
from telematics_publisher.stream import MAX_FRAME_BYTES

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
EPOCH = UUID("01930000-0000-7000-8000-000000000001")
VOLTAGE = "Vehicle.Powertrain.TractionBattery.CurrentVoltage"
SPEED = "Vehicle.Speed"
MIB = 2**20
LONG = "9" * 5_000
PATIENCE = 120
_INGRESS = "from ingress_runtime.cli import main; main()"
_AHEAD = "import time; true = time.time_ns; time.time_ns = lambda: true() + 7_200 * 10**9; "


class Process:
    """A process of ours and the lines of its log, which it is let go on writing."""

    def __init__(self, environ: Mapping[str, str], *arguments: str, before: str = "") -> None:
        self.lines: list[str] = []
        self._told = threading.Condition()
        self._child = subprocess.Popen(
            [sys.executable, "-c", before + _INGRESS, *arguments],
            env={"PATH": os.environ["PATH"], "INGRESS_LOG_FORMAT": "json", **environ},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stderr is not None
        for line in self._child.stderr:
            with self._told:
                self.lines.append(line)
                self._told.notify_all()
        with self._told:
            self._told.notify_all()

    def event(self, name: str) -> dict[str, Any]:
        """Return the first log event of this name, waiting for it."""
        with self._told:
            self._told.wait_for(
                lambda: self._found(name) or not self._reader.is_alive(), timeout=PATIENCE
            )
        found = self._found(name)
        assert found is not None, f"no {name}:\n{''.join(self.lines)}"
        return found

    def _found(self, name: str) -> dict[str, Any] | None:
        for line in self.lines:
            if f'"{name}"' in line and (said := json.loads(line))["event"] == name:
                event: dict[str, Any] = said
                return event
        return None

    def end(self) -> int:
        """Ask it to stop and return its exit code."""
        self._child.send_signal(signal.SIGTERM)
        code = self._child.wait(PATIENCE)
        self._reader.join()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.wait()
        self._reader.join()
        if self._child.stderr is not None:
            self._child.stderr.close()


@dataclass
class Core:
    """The API over its database. Each workspace of a test is its own."""

    api: str
    database: str
    client: httpx.Client
    run: Callable[[Coroutine[Any, Any, Any]], Any]
    pool: asyncpg.Pool

    def key(self, role: Role, workspace: str) -> str:
        publisher = "edge-1" if role is Role.INGEST else None
        made = self.run(KeyStore(self.pool).create(role, workspace, publisher))
        text: str = made.text
        return text

    def revoke(self, key: str) -> None:
        self.run(KeyStore(self.pool).revoke(key.split("_")[1]))

    def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.run(self.pool.fetch(query, *arguments))]

    def read(self, workspace: str, path: str, **parameters: str) -> Any:
        key = {"x-api-key": self.key(Role.READ, workspace)}
        answer = self.client.get(
            f"/v1/workspaces/{workspace}/{path}", headers=key, params=parameters
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def snapshot(self, workspace: str) -> dict[str, tuple[Any, int]]:
        """Return value and quality of the one vehicle's signals."""
        (vehicle,) = self.read(workspace, "vehicles")["vehicles"]
        return {one["signal"]: (one["value"], one["quality"]) for one in vehicle["signals"]}

    def until(self, workspace: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask for the accounting until it is as it should be."""
        deadline = time.monotonic() + PATIENCE
        while not condition(found := self.read(workspace, "accounting")):
            assert time.monotonic() < deadline, found
            time.sleep(0.1)  # between two looks
        accounting: dict[str, Any] = found
        return accounting


@pytest.fixture(scope="module")
def core(postgres_url: str, migrated_template: str) -> Iterator[Core]:
    """A real API process over a fresh database; keys are looked up anew for each request."""
    name = f"test_{uuid4().hex}"
    url = urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
    environ = {
        "INGRESS_DATABASE_URL": url,
        "CORE_API_PORT": "0",
        "CORE_API_KEY_CACHE_SECONDS": "0",
    }
    with ExitStack() as resources:
        runner = resources.enter_context(asyncio.Runner())
        runner.run(_execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {migrated_template}"))
        resources.callback(
            lambda: runner.run(_execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)"))
        )
        pool = runner.run(database.connect(url, max_size=2))
        resources.callback(lambda: runner.run(pool.close()))
        process = resources.enter_context(Process(environ, "api"))
        api = f"http://127.0.0.1:{process.event('api_listening')['port']}"
        client = resources.enter_context(httpx.Client(base_url=api, timeout=PATIENCE))
        yield Core(api, url, client, runner.run, pool)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
def workspace() -> str:
    return f"w-{uuid4().hex}"


def frame(label: str, value: object, at: datetime = NOON) -> str:
    """Return a ViriCiti datapoint as text; a `value` that is text stands there as it is."""
    shown = value if isinstance(value, str) else json.dumps(value)
    milliseconds = round(at.timestamp() * 1_000)
    payload = f'"vid":"bus_1","label":"{label}","value":{shown},"time":{milliseconds}'
    return f'{{"type":"vehicles","payload":{{{payload}}}}}'


@dataclass
class Edge:
    """Writes items of a batch for one workspace, as a publisher numbers them."""

    workspace: str
    numbers: Iterator[int] = field(default_factory=count)

    def item(self, message: str | bytes | None = None, /, **more: Any) -> dict[str, Any]:
        """Return an item: a speed of its own second unless told otherwise; None leaves out."""
        number = next(self.numbers)
        if message is None:
            message = frame("speed", number, NOON + number * SECOND)
        raw = message if isinstance(message, bytes) else message.encode("utf-8", "surrogatepass")
        item = {
            "specversion": "1.0",
            "id": str(content_id(PROVIDER_MESSAGE, "viriciti", self.workspace, raw)),
            "source": f"/viriciti/{self.workspace}/buses",
            "type": PROVIDER_MESSAGE,
            "provider": "viriciti",
            "workspaceid": self.workspace,
            "receivedtime": "2026-01-31T12:30:00Z",
            "publisherid": "edge-1",
            "publisherepoch": str(EPOCH),
            "sequence": str(number),
            "data_base64": b64encode(raw).decode(),
        } | more
        return {name: value for name, value in item.items() if value is not None}


# Requests that cannot be read, or are nobody's: of such a one nothing is stored.


@dataclass(frozen=True)
class Refusal:
    """A request made of the body of a good one, and what is answered. `says` is a pattern."""

    name: str
    status: int
    problem: str
    says: str
    body: Callable[[bytes], bytes] = bytes
    headers: Mapping[str, str | None] = field(default_factory=dict)
    key: str = "ingest"


REFUSALS = (
    Refusal("not JSON", 400, "unreadable-body", "JSON.*line 1 column", lambda good: good[:-9]),
    Refusal("NaN", 400, "unreadable-body", "NaN is no JSON", lambda good: good[:-1] + b",NaN]"),
    Refusal("not UTF-8", 400, "unreadable-body", "UTF-8 at byte 1", lambda good: b"[\xff" + good[1:]),
    Refusal("nested too deep", 400, "unreadable-body", "too deep", lambda _: b"[" * 100_000),
    Refusal("no array", 400, "unreadable-body", "must be a JSON array", lambda good: good[1:-1]),
    Refusal("no object", 400, "unreadable-body", "must be a JSON object", headers={"content-type": STRUCTURED}),
    Refusal("empty", 400, "unreadable-body", "not JSON", lambda _: b""),
    Refusal("wrong content type", 415, "unsupported-media-type", "cloudevents-batch", headers={"content-type": "text/plain"}),
    Refusal("no content type", 415, "unsupported-media-type", "cloudevents-batch", headers={"content-type": None}),
    Refusal("unknown encoding", 415, "unsupported-media-type", "'br'", headers={"content-encoding": "br"}),
    Refusal("not gzip", 400, "unreadable-body", "gzip", headers={"content-encoding": "gzip"}),
    Refusal("cut gzip", 400, "unreadable-body", "ends early", lambda good: gzip.compress(good)[:-9], {"content-encoding": "gzip"}),
    Refusal("no key", 401, "unauthenticated", "carries no API key", key="none"),
    Refusal("wrong key", 401, "unauthenticated", "unknown or incomplete", key="wrong"),
    Refusal("broken key", 401, "unauthenticated", "unknown or incomplete", key="broken"),
    Refusal("revoked key", 401, "unauthenticated", "revoked", key="revoked"),
    Refusal("reader's key", 403, "forbidden", "role read cannot send", key="read"),
    Refusal("oversized", 413, "too-large", f"larger than {8 * MIB} bytes", lambda good: good + b" " * 8 * MIB),
    Refusal("bomb", 413, "too-large", "inflated", lambda good: gzip.compress(good + b" " * 64 * MIB), {"content-encoding": "gzip"}),
    Refusal("bomb in a bomb", 413, "too-large", "inflated", lambda good: gzip.compress(good) + gzip.compress(b" " * 9 * MIB) * 9, {"content-encoding": "gzip"}),
    Refusal("too many", 413, "too-large", "has 1002 messages; the limit is 1000", lambda good: good[:-1] + b",1" * 1_001 + b"]"),
    Refusal("clock ahead", 503, "clock-ahead", r"\d+\.\d s ahead of core's clock; 300 s are allowed", lambda good: good.replace(b'"2026-01-31T12:30:00Z"', b'"2899-01-01T00:00:00Z"')),
)  # fmt: skip


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: row.name)
def test_request_that_is_refused_names_what_is_wrong_and_is_good_once_that_is_mended(
    row: Refusal, core: Core, workspace: str
) -> None:
    key = core.key(Role.INGEST, workspace)
    keys = {"ingest": key, "none": None, "wrong": key[:-9] + "A" * 9, "broken": f"{key}x"}
    if row.key in {"read", "revoked"}:
        keys[row.key] = core.key(Role.READ if row.key == "read" else Role.INGEST, workspace)
    if row.key == "revoked":
        core.revoke(keys["revoked"] or "")
    good = json.dumps([Edge(workspace).item()]).encode()
    usual = {"content-type": BATCH, "x-api-key": key}
    headers = {**usual, "x-api-key": keys[row.key], **row.headers}

    refused = core.client.post(
        "/v1/provider-ingest",
        content=row.body(good),
        headers={name: value for name, value in headers.items() if value is not None},
    )
    before = core.rows("SELECT 1 FROM settlements WHERE publisher = 'edge-1' AND workspace = (SELECT id FROM workspaces WHERE name = $1)", workspace)  # fmt: skip
    mended = core.client.post("/v1/provider-ingest", content=good, headers=usual)

    problem = refused.json()
    assert (refused.status_code, problem["status"]) == (row.status, row.status)
    assert refused.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"urn:telematics-ingress:problem:{row.problem}"
    assert re.search(row.says, problem["detail"])
    assert problem["remedy"]
    assert (row.status == 503) is ("retry-after" in refused.headers)
    assert before == []
    assert [one["outcome"] for one in mended.json()["outcomes"]] == ["accepted"]
    assert core.read(workspace, "accounting")["received"] == 1


# Items of a batch: the one in the middle is odd, its neighbours proceed.


@dataclass(frozen=True)
class Odd:
    """Attributes of an item (None: left out) or its data, and what becomes of it.

    `says` is a pattern of what the answer (refused) or the dead letter says. `value` is what is
    stored, of a signal that its neighbours do not have.
    """

    name: str
    outcome: str
    reason: str | None = None
    says: str = ""
    data: str | bytes | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    text: Callable[[str], str] = str
    value: Any = None


def missing(name: str, reason: str = "missing_attribute", says: str | None = None) -> Odd:
    return Odd(f"no {name}", "refused", reason, says or name, attributes={name: None})


def wrong(name: str, value: Any, says: str | None = None) -> Odd:
    return Odd(
        f"{name} {str(value)[:12]!r}", "refused", "invalid_attribute", says or name, attributes={name: value}
    )  # fmt: skip


def dead(name: str, reason: str, says: str, data: str | bytes, **attributes: Any) -> Odd:
    return Odd(name, "dead_lettered", reason, says, data, attributes)


ODDITIES = (
    missing("specversion", "unsupported_specversion"),
    *map(missing, ("id", "source", "type", "workspaceid", "publisherid", "receivedtime")),
    missing("publisherepoch", "missing_origin"),
    missing("sequence", "missing_origin"),
    Odd("specversion 2.0", "refused", "unsupported_specversion", "1.0", attributes={"specversion": "2.0"}),
    *(wrong(name, "") for name in ("id", "source", "type", "subject", "workspaceid", "publisherid")),
    *(wrong(name, 7) for name in ("id", "source", "type", "subject", "provider", "dataschema")),
    wrong("subject", "a\x00b"),
    wrong("subject", "bus\ud800"),
    wrong("id", "\udc00\ud800"),
    wrong("subject", "s" * 257),
    wrong("workspaceid", "../acme"),
    wrong("provider", "ViriCiti"),
    wrong("sequence", str(2**63)),
    wrong("sequence", -1),
    wrong("sequence", 1e300),
    wrong("receivedtime", "yesterday", "receivedtime.*RFC 3339"),
    wrong("receivedtime", "2026-02-30T12:00:00Z", "receivedtime.*RFC 3339"),
    wrong("receivedtime", "9999-01-01T00:00:00Z", "receivedtime.*2999"),
    wrong("publisherepoch", "not-a-uuid"),
    Odd("foreign workspace", "refused", "foreign_workspace", attributes={"workspaceid": "another"}),
    Odd("foreign publisher", "refused", "foreign_publisher", attributes={"publisherid": "edge-2"}),
    Odd("not an object", "refused", "not_an_object", "JSON object", text=lambda _: "[]"),
    Odd("sequence of 5,000 digits", "refused", "invalid_attribute", "sequence", text=lambda item: re.sub(r'"sequence": "\d+"', f'"sequence": {LONG}', item)),
    Odd("data beyond the limit", "refused", "too_large", str(MAX_DATA_BYTES), "x" * (MAX_DATA_BYTES + 1)),
    Odd("no base64", "refused", "invalid_data", "base64", attributes={"data_base64": "*"}),
    Odd("data twice", "refused", "invalid_data", "not both", attributes={"data": {}}),
    Odd("data of half a surrogate", "refused", "invalid_data", "UTF-8", attributes={"data_base64": None, "data": "\ud800"}),
    Odd("member twice: the last counts", "accepted", None, "", frame("odd", 3), text=lambda item: '{"workspaceid": "other", "publisherid": "edge-2",' + item[1:], value=3),
    dead("unknown provider", "unknown_provider", "'geotob'", "{}", provider="geotob"),
    dead("no provider", "unknown_provider", "None", "{}", provider=None),
    dead("unknown version", "unknown_version", "upgrade core", "{}", type="telematics.provider.message.v2"),
    dead("unknown type", "unknown_type", "known: ", "{}", type="telematics.provider.massage.v1"),
    dead("no data", "not_json", "line 1 column 0", "", data_base64=None),
    dead("frame that is no JSON", "not_json", "line 1 column", "}{"),
    dead("frame that is no UTF-8", "not_json", "line 1 column", b'{"type":"\xff"}'),
    dead("frame of half a surrogate", "not_json", "line 1 column", frame("odd", '"\\ud800"')),
    dead("frame nested too deep", "not_json", "recursion", frame("odd", "[" * 500 + "]" * 500)),
    dead("frame with a number of 5,000 digits", "not_json", "out of range", frame("soc", LONG)),
    dead("frame that is a list", "not_an_object", "list", "[]"),
    dead("frame of an unknown type", "unsupported_type", "trams", '{"type":"trams","payload":{}}'),
    dead("frame without payload", "no_payload", "payload", '{"type":"vehicles"}'),
    dead("frame without vehicle", "no_vid", "payload.vid", '{"type":"vehicles","payload":{"vid":"a\\u0000"}}'),
    dead("frame without time", "no_time", "payload.time", '{"type":"vehicles","payload":{"vid":"b","label":"soc","value":1}}'),
    dead("NUL", "unstorable_text", "NUL", frame("odd", '"a\\u0000b"')),
    dead("text that is too long", "text_too_long", "600 bytes", frame("odd", '"' + "é" * 300 + '"')),
    dead("number beyond range", "not_finite", "no finite", frame("soc", "-1e999")),
    dead("converted number beyond range", "not_finite", "no finite", frame("power", "1.5e99999999999999999999")),
    dead("NaN in a frame", "not_finite", "nan", frame("soc", "NaN")),
    dead("text for a number", "not_a_number", "57", frame("soc", '"57"')),
    dead("number for a position", "not_a_position", r"lat\|lon", frame("gps", "52.1")),
    dead("time beyond range", "time_out_of_range", "years 1 to 9999", frame("soc", 1, NOON).replace("1769860800000", "1.7e25340230080000012")),
    dead("time of NaN", "time_out_of_range", "nan", frame("soc", 1, NOON).replace("1769860800000", "NaN")),
    Odd("2090", "quarantined", None, "ahead_seconds", frame("odd", 1, datetime(2090, 1, 1, tzinfo=UTC))),
    Odd("1970", "accepted", None, "", frame("odd", 1, datetime(1970, 1, 1, tzinfo=UTC)), value=1),
    Odd("value twice: the last counts", "accepted", None, "", frame("odd", '1,"value":2'), value=2),
    Odd("null", "empty", None, "", frame("odd", "null")),
    Odd("almost zero", "accepted", None, "", frame("odd", "-1e-999"), value=0),
    Odd("greatest number", "accepted", None, "", frame("odd", "1.7976931348623157e308"), value=1.7976931348623157e308),
    Odd("text of control characters", "accepted", None, "", frame("odd", '"\\u0001\\u2028\\u202e"'), value="\x01\u2028\u202e"),
)  # fmt: skip


@pytest.mark.parametrize("row", ODDITIES, ids=lambda row: row.name)
def test_item_that_is_odd_has_its_own_outcome_and_its_neighbours_are_stored(
    row: Odd, core: Core, workspace: str
) -> None:
    edge = Edge(workspace)
    items = [json.dumps(edge.item()) for _ in range(2)]
    items.insert(1, row.text(json.dumps(edge.item(row.data, **row.attributes))))
    body = f"[{','.join(items)}]".encode()
    headers = {"content-type": BATCH, "x-api-key": core.key(Role.INGEST, workspace)}

    answer = core.client.post("/v1/provider-ingest", content=body, headers=headers)

    assert answer.status_code == 200, answer.text
    before, odd, after = answer.json()["outcomes"]
    assert [one["outcome"] for one in (before, after)] == ["accepted"] * 2
    assert (odd["index"], odd["outcome"], odd["reason"]) == (1, row.outcome, row.reason)
    assert re.search(row.says if row.outcome == "refused" else "", odd.get("detail") or "")
    letters = core.rows(
        "SELECT origin, reason, detail, data FROM dead_letters WHERE workspace ="
        " (SELECT id FROM workspaces WHERE name = $1)",
        workspace,
    )
    if row.outcome in {"dead_lettered", "quarantined"}:
        ((origin, reason, detail, data),) = letters
        assert (origin, reason) == (f"edge-1/{EPOCH}/2", row.reason or "future")
        assert re.search(row.says, detail)
        assert data == (row.data.encode() if isinstance(row.data, str) else row.data)
    else:
        assert letters == []
    snapshot = core.snapshot(workspace)
    assert snapshot.pop("viriciti.odd", (None, 0)) == (row.value, 0)
    assert snapshot == {SPEED: (1, 0)}
    settled = 2 if row.outcome == "refused" else 3
    assert core.read(workspace, "accounting")["received"] == settled


def test_vehicle_goes_on_after_a_stamp_of_2090_and_a_voltage_of_zero(
    core: Core, workspace: str
) -> None:
    edge = Edge(workspace)
    headers = {"content-type": BATCH, "x-api-key": core.key(Role.INGEST, workspace)}
    odd = [datetime(2090, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)]
    trip = [(664.8, NOON), (700.0, odd[0]), (0, NOON + SECOND), (650.0, odd[1]), (661.2, NOON + 2 * SECOND)]  # fmt: skip
    seen = []

    for value, at in trip:
        item = edge.item(frame("voltage", value, at))
        answer = core.client.post(
            "/v1/provider-ingest", content=json.dumps([item]), headers=headers
        )
        (outcome,) = answer.json()["outcomes"]
        seen.append((outcome["outcome"], *core.snapshot(workspace)[VOLTAGE]))

    assert seen == [
        ("accepted", 664.8, 0),
        ("quarantined", 664.8, 0),
        ("accepted", 0, 1),
        ("stale", 0, 1),
        ("accepted", 661.2, 0),
    ]
    (vehicle,) = core.read(workspace, "vehicles")["vehicles"]
    history = core.read(workspace, f"vehicles/{vehicle['vehicle']}/history", signal=VOLTAGE, to="2027-01-01T00:00:00Z", **{"from": "1960-01-01T00:00:00Z"})  # fmt: skip
    assert sorted((one["value"], one["quality"]) for one in history["readings"]) == [
        (0, 1),
        (650.0, 0),
        (661.2, 0),
        (664.8, 0),
    ]
    partitions = core.rows(
        "SELECT tableoid::regclass::text FROM history WHERE num = 650 AND workspace ="
        " (SELECT id FROM workspaces WHERE name = $1)",
        workspace,
    )
    assert partitions == [("history_before_2015",)]
    made = core.rows("SELECT relname FROM pg_class WHERE relname ~ '^history_(1970|2090)'")
    assert made == []


# A real publisher between a real websocket and the API.

STREAMS = """
[workspaces.{workspace}]
publisher = "edge-1"
api_key = {{ env = "INGEST_KEY" }}

[[streams]]
name = "buses"
workspace = "{workspace}"
provider = "viriciti"
url = "{url}"
credential = {{ env = "PROVIDER_KEY" }}
[streams.vehicles]
bus_1 = ["soc"]
"""


@contextmanager
def provider(*connections: Sequence[str | bytes]) -> Iterator[str]:
    """Serve ViriCiti's websocket: each connection sends its frames; the last one then stays open."""
    left = list(connections)

    def behave(socket: ServerConnection) -> None:
        socket.send(socket.recv())
        frames = left.pop(0) if left else []
        with suppress(Exception):  # a frame above the read limit is cut off in the middle
            for one in frames:
                socket.send(one)
            socket.recv()  # until the other side goes

    with serve(behave, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/api/v2/live"
        server.shutdown()
        thread.join()


def publisher(core: Core, workspace: str, url: str, directory: Path, before: str = "") -> Process:
    streams = directory / "streams.toml"
    streams.write_text(STREAMS.format(workspace=workspace, url=url))
    environ = {
        "INGRESS_API_URL": core.api,
        "INGEST_KEY": core.key(Role.INGEST, workspace),
        "PROVIDER_KEY": "provider-key",
        "PUBLISHER_JOURNAL_DIR": str(directory / "journals"),
        "PUBLISHER_METRICS_PORT": "0",
        "PUBLISHER_CHECKPOINT_SECONDS": "0.2",
        "PUBLISHER_GRACE_SECONDS": "1",
    }
    return Process(environ, "publisher", "run", "--streams", str(streams), before=before)


@dataclass(frozen=True)
class Sent:
    """A frame, the term of the accounting that it ends in, and the reason of its dead letter."""

    name: str
    frame: str | bytes
    term: str
    reason: str | None = None


SENT = (
    Sent("not JSON", "}{", "dead_lettered", "not_json"),
    Sent("empty", "", "dead_lettered", "not_json"),
    Sent("binary, not UTF-8", b"\xff\xfe\x00", "dead_lettered", "not_json"),
    Sent("nested too deep", frame("odd", "[" * 5_000), "dead_lettered", "not_json"),
    Sent("5,000 digits", frame("soc", LONG), "dead_lettered", "not_json"),
    Sent("half a surrogate", frame("odd", '"\\ud800"'), "dead_lettered", "not_json"),
    Sent("NUL", frame("odd", '"\\u0000"'), "dead_lettered", "unstorable_text"),
    Sent("vehicle of NUL", '{"type":"vehicles","payload":{"vid":"\\u0000","label":"soc","value":1,"time":1}}', "dead_lettered", "no_vid"),
    Sent("vehicle of a control character", '{"type":"vehicles","payload":{"vid":"\x85","label":"soc","value":1,"time":1}}', "dead_lettered", "no_vid"),
    Sent("number beyond range", frame("soc", "1e999"), "dead_lettered", "not_finite"),
    Sent("NaN", frame("soc", "NaN"), "dead_lettered", "not_finite"),
    Sent("time beyond range", frame("soc", 1).replace("1769860800000", "1e1000000"), "dead_lettered", "time_out_of_range"),
    Sent("unknown type", '{"type":"trams","payload":{}}', "dead_lettered", "unsupported_type"),
    Sent("above the constant", frame("odd", '"' + "x" * MAX_DATA_BYTES + '"'), "dead_lettered", "oversized"),
    Sent("2090", frame("odd", 1, datetime(2090, 1, 1, tzinfo=UTC)), "quarantined", "future"),
    Sent("acl", '{"type":"acl","payload":{"vid":"bus_1"}}', "empty"),
    Sent("key twice", frame("odd", '1,"value":2'), "accepted"),
)  # fmt: skip


def test_publisher_brings_all_neighbours_of_bad_frames_and_each_of_those_is_settled(
    core: Core, workspace: str, tmp_path: Path
) -> None:
    good = [frame("speed", at, NOON + at * SECOND) for at in range(len(SENT) + 3)]
    first = [one for pair in zip(good, (row.frame for row in SENT), strict=False) for one in pair]
    first += [good[-3], "x" * (MAX_FRAME_BYTES + 1), "never read"]
    sent = len(SENT) + len(good) - 1  # one good frame is for the end

    with (
        provider(first, good[-2:-1]) as url,
        publisher(core, workspace, url, tmp_path) as running,
    ):
        core.until(workspace, lambda terms: terms["received"] == sent and not terms["in_flight"])
        said = running.event("stream_frame_too_big")
        assert running.end() == 0

    accounting = core.read(workspace, "accounting")
    terms = [row.term for row in SENT] + ["accepted"] * (len(good) - 1)
    assert {term: accounting[term] for term in set(terms)} == {
        term: terms.count(term) for term in set(terms)
    }
    assert (accounting["received"], accounting["unaccounted"]) == (sent, 0)
    assert (accounting["in_flight"], accounting["dropped"]) == (0, 0)
    letters = core.rows(
        "SELECT reason FROM dead_letters WHERE workspace ="
        " (SELECT id FROM workspaces WHERE name = $1)",
        workspace,
    )
    assert sorted(reason for (reason,) in letters) == sorted(
        row.reason for row in SENT if row.reason
    )
    assert core.snapshot(workspace) == {
        SPEED: (len(good) - 2, 0),
        "viriciti.odd": (2, 0),
    }
    reasons = core.rows(
        "SELECT reason FROM connection_events WHERE state = 'disconnected' AND workspace ="
        " (SELECT id FROM workspaces WHERE name = $1) ORDER BY sequence",
        workspace,
    )
    assert "1009" in said["reason"]
    assert said["next_attempt_seconds"] >= 0
    assert reasons == [(said["reason"],), ("the publisher stops",)]


def test_publisher_whose_clock_is_two_hours_ahead_is_refused_loudly_and_loses_nothing(
    core: Core, workspace: str, tmp_path: Path
) -> None:
    frames = [frame("speed", at, NOON + at * SECOND) for at in range(50)]

    with provider(frames) as url:
        with publisher(core, workspace, url, tmp_path, before=_AHEAD) as running:
            refused = running.event("clock_ahead")
            assert running.end() == 0
        before = core.read(workspace, "accounting")
        with publisher(core, workspace, url, tmp_path) as running:
            corrected = running.event("received_times_corrected")
            accounting = core.until(workspace, lambda terms: terms["received"] == 50)
            assert running.end() == 0

    assert 7_000 < refused["ahead_seconds"] < 7_400
    assert "set this machine's clock" in refused["remedy"]
    assert "Set the clock of the machine" in refused["error"]
    assert before["received"] == 0
    assert corrected["records"] > 0
    assert (accounting["accepted"], accounting["unaccounted"]) == (50, 0)
    assert core.read(workspace, "accounting")["in_flight"] == 0
    assert core.snapshot(workspace) == {SPEED: (49, 0)}
