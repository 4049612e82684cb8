"""The process as its operator knows it: commands, probes, metrics, start and stop."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from click.testing import CliRunner, Result
from prometheus_client import REGISTRY

from core_api.commands import api as api_command
from core_api.commands import keys as keys_command
from core_api.keys import Role
from ingress_contracts import http

INGRESS = Path(sys.executable).with_name("ingress")


def run(command: Any, *arguments: str, url: str) -> Result:
    return CliRunner().invoke(command, arguments, env={"INGRESS_DATABASE_URL": url})


def created(url: str, *arguments: str) -> Any:
    result = run(keys_command, "create", *arguments, "--json", url=url)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_created_key_is_printed_once_and_listed_without_its_secret(database_url: str) -> None:
    made = created(database_url, "--role", "ingest", "--workspace", "acme", "--publisher", "edge-1")
    secret = made["key"].removeprefix(f"ik_{made['id']}_")

    listed = run(keys_command, "list", "--workspace", "acme", url=database_url)
    as_json = run(keys_command, "list", "--json", url=database_url)

    assert made["key"].startswith("ik_")
    assert f"{made['id']}  ingest  acme as edge-1" in listed.stdout
    assert "active" in listed.stdout
    assert secret not in listed.output + as_json.output
    assert [key["id"] for key in json.loads(as_json.stdout)] == [made["id"]]


def test_key_as_text_says_to_keep_it(database_url: str) -> None:
    result = run(keys_command, "create", "--role", "read", "--workspace", "acme", url=database_url)

    assert result.stdout.splitlines()[1].startswith("key: ik_")
    assert "cannot be shown again" in result.stderr


def test_revoked_key_is_shown_as_such_and_an_unknown_id_is_an_error(database_url: str) -> None:
    made = created(database_url, "--role", "admin")

    revoked = run(keys_command, "revoke", made["id"], url=database_url)
    again = run(keys_command, "revoke", made["id"], "--json", url=database_url)
    listed = run(keys_command, "list", url=database_url)
    unknown = run(keys_command, "revoke", "f" * 16, url=database_url)

    assert (revoked.exit_code, again.exit_code, unknown.exit_code) == (0, 0, 1)
    assert "revoked" in listed.stdout
    assert "all workspaces" in listed.stdout
    assert "ingress keys list" in unknown.output


def rotated(url: str, *arguments: str) -> Any:
    result = run(keys_command, "rotate", *arguments, "--json", url=url)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_rotated_key_has_a_successor_for_the_same_and_is_listed_with_its_end(
    database_url: str,
) -> None:
    old = created(database_url, "--role", "ingest", "--workspace", "acme", "--publisher", "edge-1")

    new = rotated(database_url, old["id"], "--overlap", "7d")
    listed = run(keys_command, "list", url=database_url).stdout.splitlines()

    of = ("role", "workspace", "publisher")
    assert [new[name] for name in of] == [old[name] for name in of]
    assert new["key"] != old["key"]
    assert (new["rotated"], new["id"] != old["id"]) == (old["id"], True)
    assert "active until" in listed[0]
    assert listed[1].endswith("active")


def test_rotated_key_is_printed_once_and_its_end_is_told(database_url: str) -> None:
    old = created(database_url, "--role", "admin")

    result = run(keys_command, "rotate", old["id"], url=database_url)

    assert result.stdout.splitlines()[1].startswith("key: ik_")
    assert f"{old['id']} ends at" in result.stderr
    assert "Give the new key to whoever uses the old one before 2" in result.stderr


def test_rotated_ingest_key_says_that_the_publisher_reads_it_at_its_start(
    database_url: str,
) -> None:
    old = created(database_url, "--role", "ingest", "--workspace", "acme", "--publisher", "edge-1")

    later = run(keys_command, "rotate", old["id"], url=database_url)
    at_once = run(keys_command, "rotate", old["id"], "--overlap", "0", url=database_url)

    step = "Put the new key where the publisher reads it and restart the publisher"
    assert f"{step} before 2" in later.stderr
    assert "it reads keys only at its start" in later.stderr
    assert f"{step} now" in at_once.stderr


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_whole_key_stands_for_its_id_and_is_never_shown(database_url: str, command: str) -> None:
    made = created(database_url, "--role", "admin")

    result = run(keys_command, command, made["key"], url=database_url)

    assert result.exit_code == 0
    assert f"That is a whole key. Its id is {made['id']}" in result.stderr
    assert f"{made['id']} " in result.output
    assert made["key"] not in result.output
    assert made["key"].removeprefix(f"ik_{made['id']}_") not in result.output


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_what_is_no_id_is_not_repeated_since_it_may_be_a_secret(command: str) -> None:
    typed = "S3cretS3cretS3cretS3cretS3cretS3cretS3cretS"

    result = run(keys_command, command, typed, url="postgresql://nobody@127.0.0.1:1/none")

    assert result.exit_code == 2
    assert "this is no id of a key" in result.output
    assert "ingress keys list" in result.output
    assert typed not in result.output


def test_workspace_that_comes_to_be_with_a_key_is_told(database_url: str) -> None:
    first, second = [
        run(keys_command, "create", "--role=read", "--workspace", "nordbuss", url=database_url)
        for _ in range(2)
    ]

    assert "workspace nordbuss is new" in first.stderr
    assert "is new" not in second.stderr


def test_key_that_has_ended_or_is_unknown_has_no_successor(database_url: str) -> None:
    leaked = created(database_url, "--role", "admin")
    revoked = created(database_url, "--role", "admin")
    rotated(database_url, leaked["id"], "--overlap", "0")
    run(keys_command, "revoke", revoked["id"], url=database_url)

    for id_, hint in (
        (leaked["id"], "has ended"),
        (revoked["id"], "has ended"),
        ("f" * 16, "no key"),
    ):
        result = run(keys_command, "rotate", id_, url=database_url)
        assert result.exit_code == 1
        assert hint in result.output
    assert "expired" in run(keys_command, "list", url=database_url).stdout


def test_second_rotation_of_a_key_never_lengthens_its_life(database_url: str) -> None:
    old = created(database_url, "--role", "admin")

    first = rotated(database_url, old["id"], "--overlap", "1h")
    second = rotated(database_url, old["id"], "--overlap", "48h")

    assert second["rotated_ends"] == first["rotated_ends"]


@pytest.mark.parametrize("overlap", ["soon", "24", "-1h", "1.5h", "9000d"])
def test_overlap_that_is_no_length_of_time_is_a_friendly_error(overlap: str) -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"

    result = run(keys_command, "rotate", "f" * 16, f"--overlap={overlap}", url=url)

    assert result.exit_code == 2
    assert "7d" in result.output or "366d" in result.output


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--role", "read"], "needs --workspace"),
        (["--role", "ingest", "--workspace", "acme"], "needs --publisher"),
        (["--role", "read", "--workspace", "acme", "--publisher", "e"], "takes no --publisher"),
        (["--role", "read", "--workspace", "a b"], "is no name"),
        (["--role", "owner", "--workspace", "acme"], "owner"),
    ],
)
def test_key_that_makes_no_sense_is_refused_with_a_hint(arguments: list[str], hint: str) -> None:
    result = run(keys_command, "create", *arguments, url="postgresql://nobody@127.0.0.1:1/none")

    assert result.exit_code == 2
    assert hint in result.output


@pytest.fixture
def bare_url(postgres_url: str) -> str:
    """The server's own database, which nobody migrates."""
    return postgres_url


def test_start_is_refused_while_migrations_are_pending(bare_url: str) -> None:
    for command, arguments in ((api_command, []), (keys_command, ["list"])):
        result = CliRunner().invoke(
            command, arguments, env={"INGRESS_DATABASE_URL": bare_url, "CORE_API_PORT": "0"}
        )

        assert result.exit_code == 1
        assert "0001_ingest" in result.output
        assert "ingress migrate" in result.output


def test_port_that_is_taken_is_a_friendly_error(database_url: str) -> None:
    port = str(urlsplit(database_url).port)

    result = CliRunner().invoke(
        api_command, [], env={"INGRESS_DATABASE_URL": database_url, "CORE_API_PORT": port}
    )

    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.output


def test_pool_too_small_for_the_work_is_a_friendly_error(database_url: str) -> None:
    environment = {"INGRESS_DATABASE_URL": database_url, "INGRESS_DATABASE_POOL_SIZE": "7"}

    result = CliRunner().invoke(api_command, [], env=environment)

    assert result.exit_code == 2
    assert "the API needs 8 connections" in result.output


def test_database_that_is_away_is_a_friendly_error() -> None:
    result = run(keys_command, "list", url="postgresql://nobody@127.0.0.1:1/none")

    assert result.exit_code == 1
    assert "cannot be reached" in result.output
    assert "Traceback" not in result.output


@contextmanager
def api_process(url: str, port_file: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run `ingress api` on a free port until it is told to stop."""
    process = subprocess.Popen(
        [INGRESS, "api", "--port-file", port_file],
        env={
            "PATH": os.environ["PATH"],
            "INGRESS_DATABASE_URL": url,
            "CORE_API_PORT": "0",
            "INGRESS_LOG_FORMAT": "json",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process, awaited(process, "api_listening")["port"]
        finally:
            if process.poll() is None:
                process.kill()


def awaited(process: subprocess.Popen[str], event: str) -> Any:
    """Read the log up to an event and return it."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith("{") and json.loads(line)["event"] == event:
            return json.loads(line)
    raise AssertionError(f"no {event} in {''.join(seen)}")


def test_stop_finishes_the_request_that_is_under_way(
    database_url: str, tmp_path: Path, messages: Any
) -> None:
    key = created(database_url, "--role", "ingest", "--workspace", "acme", "--publisher", "edge-1")[
        "key"
    ]
    body = http.encode_batch([messages.frame("soc", 57.5)])
    port_file = tmp_path / "api.port"

    with api_process(database_url, port_file) as (process, port):
        assert port_file.read_text() == f"{port}\n"
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.putrequest("POST", "/v1/provider-ingest")
        connection.putheader("content-type", http.BATCH)
        connection.putheader("content-length", str(len(body)))
        connection.putheader("authorization", f"Bearer {key}")
        connection.putheader("expect", "100-continue")
        connection.endheaders()
        assert connection.sock.recv(1_000).startswith(b"HTTP/1.1 100")  # it is under way

        process.send_signal(signal.SIGTERM)
        awaited(process, "shutdown_requested")
        connection.send(body)
        answer = connection.getresponse()
        outcomes = json.load(answer)["outcomes"]

        awaited(process, "api_stopped")
        assert process.wait(30) == 0
        connection.close()

    assert answer.status == 200
    assert outcomes[0]["outcome"] == "accepted"


def test_process_refuses_what_could_smuggle_a_request(database_url: str, tmp_path: Path) -> None:
    with (
        api_process(database_url, tmp_path / "api.port") as (_, port),
        socket.create_connection(("127.0.0.1", port), timeout=30) as line,
    ):
        line.sendall(
            b"POST /v1/provider-ingest HTTP/1.1\r\nhost: core\r\ncontent-length: 4\r\n"
            b"transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /livez HTTP/1.1\r\n\r\n"
        )
        answer = b"".join(iter(lambda: line.recv(4_096), b""))

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"urn:telematics-ingress:problem:malformed-request" in answer
    assert b"alive" not in answer


@pytest.mark.anyio
async def test_ready_process_says_so_and_one_that_closes_does_not(api: Any) -> None:
    ready = await api.client.get("/readyz")
    api.services.readiness.closing = True
    closing = await api.client.get("/readyz")

    assert (ready.status_code, ready.json()) == (200, {"ready": True})
    assert closing.status_code == 503
    assert closing.json()["type"] == "urn:telematics-ingress:problem:not-ready"
    assert closing.json()["objections"] == ["The process is shutting down."]


@pytest.mark.anyio
async def test_unready_process_names_pending_migrations(api: Any, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM schema_migrations")
    await connection.close()

    answer = await api.client.get("/readyz")

    assert answer.status_code == 503
    assert "ingress migrate" in answer.json()["detail"]


@pytest.mark.anyio
async def test_metrics_count_outcomes_and_time_routes_by_template(api: Any, messages: Any) -> None:
    await api.outcomes([messages.frame("soc", 57.5)], await api.key(Role.INGEST))
    await api.client.get("/v1/workspaces/acme/vehicles", headers=await api.key(Role.READ))
    await api.client.get("/no/such/path")

    answer = await api.client.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    for line in (
        'core_ingest_envelopes_total{door="http",outcome="accepted",provider="viriciti"}',
        'core_ingest_hop_seconds_count{door="http",hop="core",provider="viriciti"}',
        'core_api_request_seconds_count{route="/v1/provider-ingest",status="200"}',
        'core_api_request_seconds_count{route="/v1/workspaces/{workspace}/vehicles",status="200"}',
        'core_api_request_seconds_count{route="unmatched",status="404"}',
        "core_api_commit_envelopes_bucket",
        "core_api_queue_envelopes 0.0",
        "core_api_queue_limit_envelopes 20000.0",
    ):
        assert line in answer.text
    assert "acme" not in answer.text


@pytest.mark.anyio
async def test_process_looks_at_the_ledger_of_all_workspaces_from_its_start(
    api: Any, open_api: Any, messages: Any
) -> None:
    """`api` has stored something; another process, new on the same database, tells of it."""
    sender = await api.key(Role.INGEST)
    await api.outcomes([messages.frame("soc", 57.5)], sender)
    name = "core_ingest_ledger_looked_timestamp_seconds"
    before = REGISTRY.get_sample_value(name) or 0.0

    async with open_api() as other, asyncio.timeout(30):
        while (REGISTRY.get_sample_value(name) or 0.0) <= before:  # noqa: ASYNC110 — gauges tell nobody
            await asyncio.sleep(0)
        text = (await other.client.get("/metrics")).text

    for gauge in ("unaccounted_messages", "stranded_messages", "settlement_rows_waiting"):
        assert f"\ncore_ingest_{gauge} " in text
    assert '\ncore_ingest_dead_letters_waiting{reason="other"} 0.0' in text
    assert '\ncore_ingest_database_connections{state="idle"} ' in text
