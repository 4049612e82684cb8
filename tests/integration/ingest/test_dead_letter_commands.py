"""`ingress dead-letters` as operators use it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from core_ingest.dead_letters.desk import desk
from core_ingest.door import Door, Principal
from core_ingest.handler import IngestHandler
from core_ingest.reading import Interpretation, Uninterpretable
from ingress_runtime.faults import Point

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio

REPLAY = ("replay", "--workspace", "acme")
Said: TypeAlias = "subprocess.CompletedProcess[str]"
Say: TypeAlias = Callable[..., Awaitable[Said]]


def broken(_data: bytes) -> Interpretation:
    raise Uninterpretable("not_understood", "this adapter knows no such frame")


async def fail(core: "Core", edge: "Edge", *values: Any) -> None:
    handler = IngestHandler(core.pool, plugins={"viriciti": broken})
    envelopes = [edge.frame("speed", value) for value in values]
    await handler.handle(envelopes, door=Door.HTTP, principal=Principal())


COMMAND = (
    sys.executable,
    "-c",
    "from core_ingest.dead_letters.commands import dead_letters as d; d(prog_name='dead-letters')",
)
NOTIFY = """
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NOTIFY replayed; RETURN NULL; END $$;
CREATE TRIGGER tell AFTER INSERT ON dead_letter_replays EXECUTE FUNCTION tell();
"""


@pytest.fixture
def environment(database_url: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "INGRESS_DATABASE_URL": database_url}


@pytest.fixture
def say(environment: dict[str, str]) -> Say:
    """Run a command and return what it said; it must end with this exit code."""

    async def run(*arguments: str, code: int = 0, **more: str) -> Said:
        done = await asyncio.to_thread(
            subprocess.run,
            (*COMMAND, *arguments),
            env=environment | more,
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


async def test_list_shows_letters_and_counts_and_how_to_go_on(
    core: "Core", edge: "Edge", say: Say
) -> None:
    await fail(core, edge, 1.0, 2.0, 3.0)

    first = (await say("list", "--workspace", "acme", "--limit", "2")).stdout.splitlines()
    cursor = first[2].removeprefix("more: --after ").strip("'")
    rest = (await say("list", "--after", cursor)).stdout.splitlines()
    counted = (await say("list", "--by", "publisher")).stdout.splitlines()

    assert ["/0  whole  not_understood  waiting" in line for line in first[:2]] == [True, False]
    assert first[3].split()[0:2] == ["reason", "letters"]
    assert first[4].split()[0:2] == ["not_understood", "3"]
    assert "/2  whole" in rest[0]
    assert [line.split()[0:2] for line in counted] == [["publisher", "letters"], ["edge-1", "3"]]


async def test_list_without_letters_says_so(core: "Core", say: Say) -> None:
    await core.pool.execute("INSERT INTO workspaces (name) VALUES ('acme')")

    result = await say("list", "--workspace", "acme")

    assert (result.stdout, result.stderr) == ("", "no dead letters of this kind\n")


async def test_show_prints_a_message_whole_with_its_replays(
    core: "Core", edge: "Edge", say: Say
) -> None:
    await fail(core, edge, "x")
    await say(*REPLAY, "--all")
    origin = f"edge-1/{edge.epoch}/0"

    text = (await say("show", "acme", origin)).stdout
    plain = json.loads((await say("show", "acme", origin, "--json")).stdout)

    assert '"vid": "bus_1"' in text
    assert "  1. 2" in text.partition("replays:\n")[2]
    assert "waiting after 1 replay" in text
    assert json.loads(plain["data"])["payload"]["value"] == "x"
    assert [each["outcome"] for each in plain["replays"]] == ["dead_lettered"]


async def test_dry_run_and_replay_say_the_same_and_only_one_changes_anything(
    core: "Core", edge: "Edge", say: Say
) -> None:
    await fail(core, edge, 1.0, 1.0, "x")

    said = json.loads((await say(*REPLAY, "--all", "--dry-run", "--json")).stdout)
    none = await core.count("history")
    done = json.loads((await say(*REPLAY, "--all", "--batch", "2", "--json")).stdout)

    assert none == 0
    assert said == {
        "dry_run": True, "of": 3, "messages": 3, "resolved": 2, "waiting": 1, "without_data": 0,
        "outcomes": {"accepted": 1, "dead_lettered": 1, "duplicate": 1},
    }  # fmt: skip
    same = said.keys() - {"dry_run", "of"}
    assert {name: done[name] for name in same} == {name: said[name] for name in same}
    assert (done["complete"], done["still_waiting"]) == (True, 1)


async def test_replay_in_words(core: "Core", edge: "Edge", say: Say) -> None:
    await fail(core, edge, 1.0, "x")

    result = await say(*REPLAY, "--reason", "not_understood")

    assert result.stderr == "2 messages to replay\n"
    assert result.stdout.splitlines() == [
        "2 messages handled again",
        "  accepted               1",
        "  dead_lettered          1",
        "1 letter resolved, 1 dead-lettered again",
        "0 letters of this choice still waiting",  # the other has another reason now
    ]


async def test_discard_needs_a_choice_and_a_reason(core: "Core", edge: "Edge", say: Say) -> None:
    await fail(core, edge, 1.0)
    chosen = ("discard", "--workspace", "acme", "--reason", "not_understood")

    none = await say("discard", "--workspace", "acme", "--because", "x", code=2)
    empty = await say(*chosen, "--because", " ", code=2)
    both = await say(*REPLAY, "--all", "--door", "http", code=2)
    done = await say(*chosen, "--because", "a test vehicle")
    shown = await say("list", "--state", "discarded")

    assert "--reason, or all that wait by --all" in none.stderr
    assert "say why" in empty.stderr
    assert "not both" in both.stderr
    assert done.stdout == "discarded 1 letter of 1 message\n"
    assert "discarded 2" in shown.stdout


async def test_what_is_not_there_or_not_free_is_said_with_what_to_do(
    core: "Core", edge: "Edge", say: Say
) -> None:
    await fail(core, edge, 1.0)

    workspace = await say("list", "--workspace", "nobody", code=1)
    letter = await say("show", "acme", "edge-1/none/0", code=1)
    instant = await say("list", "--since", "yesterday", code=2)
    cursor = await say("list", "--after", "x", code=2)
    async with desk(core.pool, "acme"):
        busy = await say(*REPLAY, "--all", code=1)

    assert "there is no workspace 'nobody'; `ingress dead-letters list`" in workspace.stderr
    assert "there is no dead letter of 'edge-1/none/0'" in letter.stderr
    assert "write RFC 3339" in instant.stderr
    assert "must be `next` of the page before" in cursor.stderr
    assert "try again once that has ended" in busy.stderr


@pytest.mark.parametrize("point", [Point.TRANSACTION_STORED, Point.TRANSACTION_COMMITTED])
async def test_killed_replay_goes_on_where_it_was_when_the_same_command_is_given_again(
    core: "Core", edge: "Edge", say: Say, point: Point
) -> None:
    await fail(core, edge, *(float(at) for at in range(6)))
    command = (*REPLAY, "--all", "--batch", "2", "--json")

    await say(
        *command,
        code=-signal.SIGKILL,
        INGRESS_FAULTS=f"{point}:kill@2",
        INGRESS_FAULTS_ALLOWED="yes",
    )
    done = await core.pool.fetchval("SELECT count(*) FROM dead_letters WHERE state = 'replayed'")
    again = await say(*command)

    assert done == (2 if point is Point.TRANSACTION_STORED else 4)
    assert f"interrupted after {done} messages; --restart begins anew" in again.stderr
    assert json.loads(again.stdout)["messages"] == 6 - done
    rows = await core.pool.fetch("SELECT DISTINCT state, tries FROM dead_letters")
    assert [tuple(row) for row in rows] == [("replayed", 1)]
    assert await core.count("dead_letter_replays") == 6


async def test_signal_ends_a_slow_replay_between_two_batches(
    core: "Core", edge: "Edge", say: Say, environment: dict[str, str]
) -> None:
    await fail(core, edge, *(float(at) for at in range(5)))
    await core.pool.execute(NOTIFY)
    one = asyncio.Event()
    async with core.pool.acquire() as connection:
        await connection.add_listener("replayed", lambda *_: one.set())
        process = await asyncio.create_subprocess_exec(
            *COMMAND, *REPLAY, "--all", "--rate", "0.1",  # it rests for ten seconds after each
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        await one.wait()
        await connection.reset()
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()

    assert process.returncode == 130
    assert out.decode().startswith("1 message handled again")
    assert "the same command goes on where it stopped" in err.decode()
    rest = await say(*REPLAY, "--all")
    assert rest.stdout.startswith("4 messages handled again")


async def test_dry_run_that_leaves_messages_out_says_for_how_many_it_speaks(
    core: "Core", edge: "Edge", say: Say
) -> None:
    await fail(core, edge, *(float(at) for at in range(6)))
    await core.pool.execute(
        "UPDATE dead_letters SET data = data || convert_to(repeat(' ', 33554432), 'UTF8')"
        " WHERE position IN (1, 3)"
    )

    said = await say(*REPLAY, "--all", "--dry-run")

    assert said.stdout.startswith("4 messages would be handled again")
    assert said.stdout.splitlines()[-1].startswith("This was for the first 4 of 6: narrow")
