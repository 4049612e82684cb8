"""A key decides whose data its messages are: no envelope writes anywhere else, whatever it says."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from core_api.keys import Role
from core_ingest.ledger.compactor import compact
from core_ingest.store import database
from ingress_contracts import http, kinds
from ingress_contracts.envelope import Envelope

pytestmark = pytest.mark.anyio

PATH = "/v1/provider-ingest"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
OTHER_EPOCH = UUID("01930000-0000-7000-8000-00000000000f")
CONNECTION = {"stream": "buses", "state": "connected", "at": "2026-01-31T12:00:00Z"}
UNDELIVERABLE = {"epoch": str(OTHER_EPOCH), "sequence": 7, "reason": "too_large", "size": 1}
CHECKPOINT = {
    "number": 1,
    "epochs": [{"epoch": str(OTHER_EPOCH), "first": 0, "head": 99, "dropped": [[10, 20]]}],
    "routes": [{"door": "http"}],
}
CANONICAL = {
    "provider": "geotab",
    "externalid": "b8E2",
    "readings": [{"signal": "Vehicle.Speed", "observed": "2026-01-31T12:00:00Z", "value": 1.5}],
}
WRITES = (
    "assets", "vehicle_assets", "history", "latest", "dead_letters", "settlements",
    "connection_events", "checkpoints", "checkpoint_arrivals",
    "ledger_epochs", "ledger_blocks", "ledger_counts",
)  # fmt: skip


def variants(messages: Any) -> dict[str, Envelope]:
    """Return a message of each kind and fate, all of publisher edge-1 of acme."""
    frame = messages.frame("soc", 57.5)

    def of(type_: str, data: object, **more: Any) -> Envelope:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        changed = {"type": type_, "data": body, "sequence": messages.frame("x", 1).sequence, **more}
        envelope: Envelope = frame.model_copy(update=changed)
        return envelope

    unnumbered = {"publisherepoch": None, "sequence": None}
    return {
        "frame": frame,
        "dead letter": of(kinds.PROVIDER_MESSAGE, b"no json"),
        "unknown provider": of(kinds.PROVIDER_MESSAGE, b"{}", provider="nobody"),
        "unknown version": of("telematics.provider.message.v9", b"{}"),
        "from the future": messages.frame(
            "odo", 1, NOON + timedelta(days=9), received=frame.receivedtime
        ),
        "canonical": of(kinds.CANONICAL_UPDATE, CANONICAL, provider=None),
        "connection": of(kinds.CONNECTION, CONNECTION),
        "undeliverable": of(kinds.UNDELIVERABLE, UNDELIVERABLE),
        "unreadable control": of(kinds.CONNECTION, b"{}"),
        "checkpoint": of(kinds.CHECKPOINT, CHECKPOINT, **unnumbered),
    }


async def rows_of(database_url: str, table: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608 — a name of this file
    finally:
        await connection.close()


def batch(envelope: Envelope) -> tuple[dict[str, str], bytes]:
    return {"content-type": http.BATCH}, http.encode_batch([envelope])


def structured(envelope: Envelope) -> tuple[dict[str, str], bytes]:
    return {"content-type": http.STRUCTURED}, http.encode_structured(envelope)


Encode = Callable[[Envelope], tuple[dict[str, str], bytes]]


FOREIGN = (
    ({"workspaceid": "other"}, "foreign_workspace"),
    ({"publisherid": "edge-2"}, "foreign_publisher"),
    ({"workspaceid": "ACME"}, "foreign_workspace"),
    ({"workspaceid": "other", "publisherid": "edge-2"}, "foreign_workspace"),
)


@pytest.mark.parametrize("encode", [batch, structured, http.encode_binary])
async def test_foreign_message_of_any_kind_and_mode_is_refused_and_leaves_no_trace(
    api: Any, messages: Any, database_url: str, encode: Encode
) -> None:
    key = await api.key(Role.INGEST)

    for (foreign, reason), (name, envelope) in product(FOREIGN, variants(messages).items()):
        headers, body = encode(envelope.model_copy(update=foreign))
        answer = await api.client.post(PATH, content=body, headers={**headers, **key})
        [outcome] = answer.json()["outcomes"]
        assert (name, outcome["outcome"], outcome["reason"]) == (name, "refused", reason)

    written = {table: await rows_of(database_url, table) for table in WRITES}
    assert written == dict.fromkeys(WRITES, 0)
    assert await rows_of(database_url, "workspaces") == 1


async def test_the_same_messages_of_its_own_are_taken(api: Any, messages: Any) -> None:
    mine = variants(messages)

    outcomes = await api.outcomes(list(mine.values()), await api.key(Role.INGEST))

    assert dict(zip(mine, outcomes, strict=True)) == {
        "frame": "accepted",
        "dead letter": "dead_lettered",
        "unknown provider": "dead_lettered",
        "unknown version": "dead_lettered",
        "from the future": "quarantined",
        "canonical": "accepted",
        "connection": "control",
        "undeliverable": "control",
        "unreadable control": "dead_lettered",
        "checkpoint": "control",
    }


async def account_of(api: Any, publishers: Iterable[str]) -> list[dict[str, Any]]:
    answer = await api.client.get(
        "/v1/workspaces/acme/accounting", headers=await api.key(Role.READ)
    )
    found = {account["publisher"]: account for account in answer.json()["publishers"]}
    return [found[publisher] for publisher in publishers]


async def test_control_message_that_names_anothers_epoch_speaks_of_its_own_publisher_alone(
    api: Any, messages: Any, database_url: str
) -> None:
    victim, stranger = [await api.key(Role.INGEST, "acme", name) for name in ("edge-2", "edge-1")]
    theirs = [
        messages.frame("soc", value / 2, publisher="edge-2").model_copy(
            update={"publisherepoch": OTHER_EPOCH}
        )
        for value in range(30)
    ]
    await api.outcomes(theirs[:5], victim)
    checkpoint = {
        "number": 1,
        "epochs": [{"epoch": str(OTHER_EPOCH), "first": 0, "head": 29, "pending": [[5, 29]]}],
        "routes": [{"door": "http"}],
    }
    unnumbered = {"type": kinds.CHECKPOINT, "publisherepoch": None, "sequence": None}
    await api.outcomes(
        [theirs[0].model_copy(update={**unnumbered, "data": json.dumps(checkpoint).encode()})],
        victim,
    )
    pool = await database.connect(database_url, max_size=2)
    await compact(pool)
    [before] = await account_of(api, ["edge-2"])

    sent = variants(messages)
    await api.outcomes([sent["undeliverable"], sent["checkpoint"]], stranger)
    await compact(pool)
    await pool.close()
    [after] = await account_of(api, ["edge-2"])

    assert before == after
    assert await api.outcomes(theirs[5:], victim) == ["conflict"] * 25


async def test_undeliverable_report_makes_no_dead_letter_in_anothers_name(
    api: Any, messages: Any, database_url: str
) -> None:
    await api.outcomes([variants(messages)["undeliverable"]], await api.key(Role.INGEST))

    connection = await asyncpg.connect(database_url)
    origins = await connection.fetch("SELECT origin FROM dead_letters")
    await connection.close()

    assert [row["origin"] for row in origins] == [f"edge-1/{OTHER_EPOCH}/7"]


async def test_checkpoint_over_a_thousand_million_partitions_costs_nothing(
    api: Any, messages: Any, database_url: str
) -> None:
    routes = [{"door": "http"}, {"door": "kafka", "topic": "fleet", "partitions": 10**9}]
    body = json.dumps({**CHECKPOINT, "routes": routes}).encode()
    envelope = variants(messages)["checkpoint"].model_copy(update={"data": body})
    await api.outcomes([envelope], await api.key(Role.INGEST))

    pool = await database.connect(database_url, max_size=2)
    await compact(pool)
    await pool.close()

    assert await rows_of(database_url, "checkpoints") == 1  # it waits for the first of them
