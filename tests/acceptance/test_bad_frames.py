"""Bad frames on a provider's websocket, through a real publisher: each is settled, and nothing lost."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ingress_contracts.envelope import MAX_DATA_BYTES
from telematics_publisher.stream import MAX_FRAME_BYTES
from tests.acceptance.messages import LONG, NOON, SECOND, SPEED, frame
from tests.acceptance.processes import Core
from tests.acceptance.streaming import provider, publisher


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
