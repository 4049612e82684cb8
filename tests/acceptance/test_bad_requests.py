"""Bad requests and bad items at core's door: a clear answer that says what is wrong; nothing lost.

Each row of the tables is a test: it tells what comes in, what is answered, and in what words.
"""

import gzip
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from core_api.keys import Role
from ingress_contracts.envelope import MAX_DATA_BYTES
from ingress_contracts.http import BATCH, STRUCTURED
from tests.acceptance.messages import EPOCH, LONG, NOON, SPEED, Edge, frame
from tests.acceptance.processes import Core

MIB = 2**20

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
