"""The shadow report over HTTP and as a command, with what the command ends with."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner, Result
from pydantic import TypeAdapter

from core_api.keys import Role
from core_api.shadow_commands import shadow
from core_ingest.door import Door, Principal
from core_ingest.handler import Delivery, IngestHandler
from core_ingest.ledger.shadow_report import ShadowReport
from core_ingest.store import database
from ingress_contracts import kinds
from ingress_contracts.content_id import content_id
from ingress_contracts.control import Checkpoint, CheckpointEpoch, Route
from ingress_contracts.envelope import Envelope

pytestmark = pytest.mark.anyio

WORKSPACE = "/v1/workspaces/acme"
FLEET = Route(door="kafka", topic="fleet", partitions=1)


def checkpoint(number: int, frame: Envelope) -> Envelope:
    """A checkpoint behind `frame`, the last one that was handed out."""
    assert frame.publisherepoch is not None
    assert frame.sequence is not None
    body = Checkpoint(
        number=number,
        epochs=(CheckpointEpoch(epoch=frame.publisherepoch, first=0, head=frame.sequence),),
        routes=(Route(door="http"),),
        copies=(FLEET,),
    )
    data = body.model_dump_json().encode()
    return Envelope(
        id=str(content_id(kinds.CHECKPOINT, "viriciti", "acme", data)),
        source="/viriciti/acme/buses",
        type=kinds.CHECKPOINT,
        provider="viriciti",
        workspaceid="acme",
        receivedtime=datetime.now(UTC),
        publisherid="edge-1",
        publisherepoch=frame.publisherepoch,
        data=data,
    )


async def shadowed(pool: asyncpg.Pool, messages: Any, lost: Sequence[int] = ()) -> None:
    """Take five messages by both doors, but for the copies that are lost, and a checkpoint."""
    handler = IngestHandler(pool)
    now = datetime.now(UTC)
    frames = [messages.frame("soc", float(at), received=now) for at in range(5)]
    barrier = checkpoint(1, frames[-1])
    copies = [frame for frame in frames if frame.sequence not in lost]
    await handler.handle([*frames, barrier], door=Door.HTTP, principal=Principal())
    queue = Delivery(
        [*copies, barrier], Door.KAFKA, Principal(), "kafka/fleet/0", range(6)[: len(copies) + 1]
    )
    await handler.handle_together([queue])


def prepared(url: str, messages: Any, lost: Sequence[int] = ()) -> None:
    """Do so at the database of `url`."""

    async def run() -> None:
        pool = await database.connect(url, max_size=2)
        try:
            await shadowed(pool, messages, lost)
        finally:
            await pool.close()

    asyncio.run(run())


def reported(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(shadow, ["report", *arguments], env={"INGRESS_DATABASE_URL": url})


async def test_report_is_served_to_readers_of_the_workspace(api: Any, messages: Any) -> None:
    await shadowed(api.pool, messages, lost=[2])

    answer = await api.client.get(
        f"{WORKSPACE}/shadow", headers=await api.key(Role.READ), params={"least": 1}
    )

    assert answer.status_code == 200, answer.text
    found = TypeAdapter(ShadowReport).validate_json(answer.content)
    (publisher,) = found.publishers
    assert (found.verdict, publisher.judged, publisher.both) == ("unsafe", 5, 4)
    assert [(each.first, each.last) for each in publisher.only_http.ranges] == [(2, 2)]


async def test_window_and_publisher_are_the_callers_to_choose(api: Any, messages: Any) -> None:
    await shadowed(api.pool, messages)
    key = await api.key(Role.ADMIN, None)
    earlier = datetime.now(UTC) - timedelta(days=2)

    async def verdict(**parameters: Any) -> str:
        answer = await api.client.get(f"{WORKSPACE}/shadow", headers=key, params=parameters)
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["verdict"]
        return found

    assert await verdict(least=5) == "safe"
    assert await verdict(least=5, publisher="edge-1") == "safe"
    assert await verdict() == "undecided"
    assert await verdict(least=5, publisher="edge-2") == "undecided"
    assert await verdict(least=1, to=earlier.isoformat()) == "undecided"


async def test_ends_of_the_calendar_are_no_trouble(api: Any, messages: Any) -> None:
    await shadowed(api.pool, messages)
    key = await api.key(Role.READ)

    for start, end in [
        ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:01Z"),
        ("9999-12-31T23:59:58Z", "9999-12-31T23:59:59Z"),
    ]:
        answer = await api.client.get(
            f"{WORKSPACE}/shadow", headers=key, params={"from": start, "to": end}
        )
        assert answer.status_code == 200, answer.text


async def test_wrong_questions_are_told_apart(api: Any) -> None:
    await api.key(Role.READ, "other")
    read, other = await api.key(Role.READ), await api.key(Role.READ, "other")
    admin, ingest = await api.key(Role.ADMIN, None), await api.key(Role.INGEST)
    backwards = {"from": "2026-01-31T12:00:00Z", "to": "2026-01-31T11:00:00Z"}

    async def status(key: dict[str, str], where: str = WORKSPACE, **parameters: Any) -> int:
        answer = await api.client.get(f"{where}/shadow", headers=key, params=parameters)
        code: int = answer.status_code
        return code

    assert await status(read) == 200
    assert await status({}) == 401
    assert (await status(other), await status(ingest)) == (403, 403)
    assert await status(admin, "/v1/workspaces/nobody") == 404
    assert await status(read, **backwards) == 422
    assert await status(read, least=0) == 422
    assert await status(read, to="yesterday") == 422
    first_year = {"to": "0001-01-01T00:10:00Z"}
    assert await status(read, **first_year) == 422


def test_command_ends_with_the_verdict(database_url: str, messages: Any) -> None:
    prepared(database_url, messages)

    safe = reported(database_url, "--least", "5")
    undecided = reported(database_url, "--last", "1h")

    assert safe.exit_code == 0, safe.output
    assert "publisher edge-1: safe" in safe.stdout
    assert safe.stdout.splitlines()[-1] == "safe"
    assert undecided.exit_code == 3
    assert "too little traffic: 5 numbers were judged, 1000 are wanted" in undecided.stdout


def test_command_names_what_is_missing_and_how_many_more(database_url: str, messages: Any) -> None:
    prepared(database_url, messages, lost=[0, 2, 3])

    text = reported(database_url, "--workspace", "acme", "--ranges", "1")
    as_json = reported(database_url, "--publisher", "edge-1", "--json")

    assert (text.exit_code, as_json.exit_code) == (1, 1)
    assert "3 came by HTTP only" in text.stdout
    assert "epoch 01930000-0000-7000-8000-000000000001  0\n" in text.stdout
    assert "and 1 more ranges" in text.stdout
    document = json.loads(as_json.stdout)
    (publisher,) = document["workspaces"][0]["publishers"]
    assert document["verdict"] == "unsafe"
    assert publisher["only_http"]["numbers"] == 3
    assert [(each["first"], each["last"]) for each in publisher["only_http"]["ranges"]] == [
        (0, 0),
        (2, 3),
    ]


def test_command_without_any_copies_is_undecided_and_says_why(database_url: str) -> None:
    result = reported(database_url)

    assert result.exit_code == 3
    assert "INGRESS_TRANSPORT=shadow" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workspace", "nobody"], "there is no workspace 'nobody'"),
        (["--last", "0"], "no window"),
        (["--last", "soon"], "no length of time"),
        (["--last", "1h", "--since", "2026-01-31T12:00:00Z"], "not both"),
        (["--until", "2026-01-31T12:00:00Z"], "needs --since"),
        (["--since", "yesterday"], "RFC 3339"),
        (
            ["--since", "2026-02-01T00:00:00Z", "--until", "2026-01-31T12:00:00Z"],
            "before it begins",
        ),
        (["--least", "0"], "range"),
    ],
)
def test_wrong_use_is_an_error_and_no_verdict(
    database_url: str, arguments: list[str], message: str
) -> None:
    result = reported(database_url, *arguments)

    assert result.exit_code == 2
    assert message in result.output


def test_database_that_is_away_is_an_error_and_no_verdict() -> None:
    result = reported("postgresql://core@127.0.0.1:1/core")

    assert result.exit_code == 2
    assert "127.0.0.1:1" in result.output
