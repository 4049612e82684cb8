"""`ingress journal inspect|verify|drain`, in this process and as processes of their own."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from ingress_contracts.control import Checkpoint, Undeliverable
from ingress_contracts.envelope import MAX_DATA_BYTES
from ingress_contracts.kinds import CHECKPOINT, PROVIDER_MESSAGE, UNDELIVERABLE
from telematics_publisher.journal.commands import journal as command
from telematics_publisher.journal.limits import Excess
from telematics_publisher.journal.store import JournalStore
from telematics_publisher.records import Lane, Record

if TYPE_CHECKING:
    from tests.integration.publisher.door import Door, Reply, Request

NOW = 1_700_000_000_000_000
Frames = Callable[[int], list[Record]]


@pytest.fixture
def path(tmp_path: Path, lane: Lane, frames: Frames) -> Path:
    """A journal: 1 to 9 sent once, 5 acknowledged, 3 undeliverable, 10 to 12 dropped, 15 too big."""
    path = tmp_path / "acme.journal"
    store = opened(path)
    with store.transaction():
        store.append(frames(20))
        store.take(0, 9, 2**20)
        store.acknowledge([(5, 5)])
        store.drop(Excess(5, 0))
        store.append([Record(lane, NOW, "arcc_004", b"x" * (MAX_DATA_BYTES + 1))])
        store.set_aside(3, reason="too_large", detail="HTTP 413", now=NOW)
    store.close()
    return path


def opened(path: Path) -> JournalStore:
    return JournalStore.open(path, workspace="acme", publisher="edge-1", now=NOW)


def run(*arguments: str | Path, **environ: str) -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments], env=environ)


def state(path: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in path.parent.iterdir()}


def strike(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-4_096:] = b"\xff" * 4_096
    path.write_bytes(content)


def test_inspect_shows_what_is_in_it_and_changes_nothing(path: Path) -> None:
    before = state(path)
    shown = run("inspect", path)
    assert shown.exit_code == 0
    for text in (
        "publisher edge-1 of workspace acme",
        "format 3",
        "never sent      10 records",
        "up to 23, attempted up to 9",
        "dropped         3 numbers",
        "1 to 23, open",
        "1 to 4, 6 to 9, 13 to 23",
        "10 to 12",
        "3 (too_large, 1 bytes), reported by 23",
        "21 (oversized, 512 KiB), reported by 22",
        "/viriciti/acme/buses  telematics.provider.message.v1: 15 records",
    ):
        assert text in shown.output, shown.output
    assert state(path) == before


def test_inspect_speaks_json(path: Path) -> None:
    shown = json.loads(run("inspect", "--json", path).stdout)
    (epoch,) = shown["epochs"]
    assert (epoch["first"], epoch["head"], epoch["closed"]) == (1, 23, False)
    assert epoch["pending"] == [[1, 4], [6, 9], [13, 23]]
    assert epoch["dropped"] == [[10, 12]]
    assert (shown["pending"], shown["dropped"], shown["records"]) == (19, 3, 17)
    assert shown["oldest"].startswith("2023-11-14T22:13:20")
    assert shown["oldest_age_seconds"] > 1e6
    assert [body["reason"] for _, body in shown["undeliverable"]] == ["oversized", "too_large"]


def test_inspect_reads_what_a_killed_process_left_in_the_log(path: Path, tmp_path: Path) -> None:
    store = opened(path)  # stays open: its log is not folded
    store._connection.execute("PRAGMA locking_mode = NORMAL")
    with store.transaction():
        store.append([Record(next(iter(store._books.lane_ids)), NOW, None, b"late")])
    copy = tmp_path / "copy"
    copy.mkdir()
    for suffix in ("", "-wal"):
        (copy / f"acme.journal{suffix}").write_bytes(
            path.with_name(f"acme.journal{suffix}").read_bytes()
        )
    store.close()
    before = state(copy / "acme.journal")
    assert "up to 24" in run("inspect", copy / "acme.journal").output
    assert run("verify", copy / "acme.journal").exit_code == 0
    assert state(copy / "acme.journal") == before


def test_verify_says_that_a_sound_journal_is_sound(path: Path) -> None:
    before = state(path)
    shown = run("verify", path)
    assert (shown.exit_code, shown.output) == (0, f"{path} is sound.\n")
    assert state(path) == before


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("DELETE FROM lanes", "records have no source, and cannot be sent (17)"),
        ("DELETE FROM records WHERE sequence = 23", "wait for a report that is gone (1)"),
        ("INSERT INTO dropped VALUES (1, 2)", "whose numbers count as dropped (2)"),
        ("UPDATE epochs SET first = 7", "records belong to no epoch"),
        ("DELETE FROM identity", "does not say whose journal it is"),
        ("DROP TABLE reports", "tables are missing: reports"),
        ("UPDATE epochs SET head = -5", "its epochs contradict each other"),
    ],
)
def test_verify_names_numbers_that_do_not_add_up(path: Path, statement: str, finding: str) -> None:
    store = opened(path)
    store._connection.execute("UPDATE epochs SET head = NULL WHERE head IS NOT NULL")
    store._connection.execute("DELETE FROM epochs WHERE first > 1")
    store._connection.execute(statement)
    store.close()
    shown = run("verify", path)
    assert shown.exit_code == 1
    assert finding in shown.output
    assert "sets the file aside" in shown.output


def test_inspect_says_that_a_journal_contradicts_itself(path: Path) -> None:
    store = opened(path)
    store._connection.execute("UPDATE epochs SET head = -5")
    store.close()
    shown = run("inspect", path)
    assert shown.exit_code == 2
    assert "is damaged: it contradicts itself: " in shown.output


def test_verify_finds_a_page_that_was_overwritten(path: Path) -> None:
    strike(path)
    shown = run("verify", path)
    assert shown.exit_code == 1
    assert "is damaged" in shown.output


def test_verify_finds_that_a_file_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"something else" * 1_000)
    for name in ("inspect", "verify"):
        shown = run(name, tmp_path / "x")
        assert shown.exit_code == 2
        assert "x is no journal. Name one, such as journals/acme.journal." in shown.output
        assert "damaged" not in shown.output
    (tmp_path / "x").rename(tmp_path / "x.journal")
    shown = run("verify", tmp_path / "x.journal")
    assert shown.exit_code == 1
    assert "not a database" in shown.output


def test_a_journal_is_known_by_its_content_too(path: Path) -> None:
    path.rename(path.with_name("found"))
    assert run("verify", path.with_name("found")).exit_code == 0


def test_inspect_counts_in_words_and_tells_times_to_the_second(path: Path) -> None:
    shown = run("inspect", path).output
    assert "/viriciti/acme/buses  telematics.provider.message.v1: 15 records" in shown
    assert " 1 records" not in shown
    assert "2023-11-14 22:13:20Z to 2023-11-14 22:13:20Z; the oldest" in shown


def test_drain_wants_to_know_where_core_is(path: Path) -> None:
    shown = run("drain", path, "--api-key-env", "KEY", KEY="secret", INGRESS_API_URL="")
    assert shown.exit_code == 2
    assert "give --api-url, or set INGRESS_API_URL" in shown.output
    shown = run("drain", path, "--api-key-env", "KEY", "--api-url", "core:80", KEY="secret")
    assert shown.exit_code == 2
    assert "must begin with http:// or https://" in shown.output


@pytest.mark.parametrize("name", ["inspect", "verify", "drain"])
def test_a_journal_in_use_or_not_there_is_told_with_exit_code_2(path: Path, name: str) -> None:
    options = ["--api-url", "http://127.0.0.1:1", "--api-key-env", "KEY"] if name == "drain" else []
    store = opened(path)
    shown = run(name, path, *options, KEY="secret")
    assert shown.exit_code == 2
    assert "is open in another process. A publisher has it open: " in shown.output
    if name == "inspect":
        assert "its metrics publisher_journal_* tell the same. Or stop it first." in shown.output
    store.close()
    shown = run(name, path.with_name("gone.journal"), *options, KEY="secret")
    assert shown.exit_code == 2
    assert "gone.journal is no file" in shown.output
    assert not path.with_name("gone.journal").exists()


def test_drain_wants_to_know_where_the_key_is(path: Path) -> None:
    for options, text in (
        ((), "--api-key-env or --api-key-file, one of both"),
        (("--api-key-env", "NO_KEY"), "environment variable NO_KEY is not set"),
    ):
        shown = run("drain", path, "--api-url", "http://127.0.0.1:1", *options)
        assert shown.exit_code == 2
        assert text in shown.output


@pytest.mark.parametrize("name", ["inspect", "verify", "drain"])
def test_help_shows_examples(name: str) -> None:
    shown = run(name, "--help")
    assert shown.exit_code == 0
    assert f"ingress journal {name} journals/acme.journal" in shown.output


async def drain(door: "Door", path: Path, *options: str) -> tuple[int, str, str]:
    """Run `ingress journal drain` as a process."""
    key = path.with_name("key")
    key.write_text("ingest-secret-key\n")
    program = "from telematics_publisher.journal.commands import journal; journal()"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, "drain", str(path)),
        *("--api-url", door.url, "--api-key-file", str(key), *options),
        env={"PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    assert b"ingest-secret-key" not in out + err
    assert b"Traceback" not in err
    return child.returncode or 0, out.decode(), err.decode()


@pytest.mark.anyio
async def test_drain_sends_what_is_left_and_closes_the_epochs(door: "Door", path: Path) -> None:
    code, out, err = await drain(door, path)
    assert (code, out) == (0, f"19 settled, 0 left in {path}.\n")
    assert "19 numbers of edge-1 in acme are pending.\n" in err
    assert "settled" not in err  # a bar is for terminals
    assert {one.headers["authorization"] for one in door.requests} == {"Bearer ingest-secret-key"}
    data = [one for one in door.accepted if one.type == PROVIDER_MESSAGE]
    assert sorted(one.sequence or 0 for one in data) == [1, 2, 4, 6, 7, 8, 9, *range(13, 21)]
    reports = [
        Undeliverable.model_validate_json(one.data).sequence
        for one in door.accepted
        if one.type == UNDELIVERABLE
    ]
    assert sorted(reports) == [3, 21]
    *_, last = [
        Checkpoint.model_validate_json(one.data) for one in door.accepted if one.type == CHECKPOINT
    ]
    assert all(each.closed and not each.pending for each in last.epochs)
    heard = [
        Checkpoint.model_validate_json(one.data).epochs
        for one in door.accepted
        if one.type == CHECKPOINT
    ]
    assert ((10, 12),) in {each.dropped for epochs in heard for each in epochs}
    left = json.loads(run("inspect", "--json", path).stdout)
    assert (left["records"], left["epochs"]) == (0, [])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "reason"), [(200, "refuses to hear that it is over"), (401, "HTTP 401")]
)
async def test_drain_has_not_done_its_work_until_core_knows_that_the_epochs_are_over(
    door: "Door", path: Path, doors: Any, status: int, reason: str
) -> None:
    def deaf(request: "Request") -> "Reply":
        last = any(
            one.type == CHECKPOINT
            and all(each.closed for each in Checkpoint.model_validate_json(one.data).epochs)
            for one in request.envelopes
        )
        reply: Reply = (
            doors.Reply(401)
            if last and status == 401
            else doors.accept(request, refused=[0] if last else [])
        )
        return reply

    door.reply = deaf
    code, out, err = await drain(door, path)
    assert (code, out) == (1, f"19 settled, 0 left in {path}.\n")
    assert reason in err
    door.reply = doors.accept
    assert (await drain(door, path))[0] == 0
    assert json.loads(run("inspect", "--json", path).stdout)["epochs"] == []


@pytest.mark.anyio
async def test_drain_of_a_damaged_file_sends_what_can_be_saved(door: "Door", path: Path) -> None:
    store = opened(path)
    with store.transaction():
        store.append(
            [
                Record(next(iter(store._books.lane_ids)), NOW, None, b"%05d" % n * 100)
                for n in range(500)
            ]
        )
    store.close()
    strike(path)
    code, out, err = await drain(door, path)
    assert code == 0, err
    assert "journal_damaged" in err + out
    assert len([one for one in door.accepted if one.type == PROVIDER_MESSAGE]) > 400


@pytest.mark.anyio
async def test_drain_says_why_something_is_left(door: "Door", path: Path, doors: Any) -> None:
    door.reply = lambda _: doors.Reply(401, b'{"title":"Unknown key"}')
    code, out, err = await drain(door, path)
    assert (code, out) == (1, f"0 settled, 19 left in {path}.\n")
    assert "Unknown key" in err


@pytest.mark.anyio
async def test_drain_gives_up_in_time_and_goes_on_later(
    door: "Door", path: Path, doors: Any
) -> None:
    def tired(request: "Request") -> "Reply":
        reply: Reply = doors.accept(request) if len(door.requests) == 1 else doors.Reply(503)
        return reply

    door.reply = tired
    code, out, err = await drain(door, path, "--seconds", "2")
    assert code == 1
    assert "core did not take everything within 2 s" in err
    door.reply = doors.accept
    code, out, err = await drain(door, path)
    assert (code, "0 left" in out) == (0, True)
