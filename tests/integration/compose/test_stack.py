"""Every service of ours runs as docker-compose.yml says, and data goes from one end to the other."""

import asyncio
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingress_testbed.demo.processes import Processes
from ingress_testbed.servers.kafka import KafkaCluster
from ingress_testbed.servers.postgres import OwnPostgres, running_postgres
from tests.integration.compose.composition import scraped, services
from tests.integration.compose.stage import Stage

pytestmark = [pytest.mark.anyio, pytest.mark.trials]

ONE_SHOTS = ("secrets", "migrate", "keys", "topics", "fleet")
PATIENCE = 60.0
LOOK_EVERY, LOOKS = 0.2, 300
OURS = ("publisher", "api", "consumer")


@pytest.fixture
def postgres() -> Iterator[OwnPostgres]:
    """A server that asks everybody but its superuser for a password, as the image does."""
    with tempfile.TemporaryDirectory(prefix="ingress-compose-") as name:
        rules = Path(name) / "pg_hba.conf"
        rules.write_text(
            "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )
        with running_postgres(Path(name), configuration={"hba_file": str(rules)}) as server:
            if not isinstance(server, OwnPostgres):
                pytest.skip("this needs a Postgres of its own, and INGRESS_DATABASE_URL is set")
            yield server


@pytest.fixture
async def stage(tmp_path: Path, postgres: OwnPostgres, kafka: KafkaCluster) -> AsyncIterator[Stage]:
    """Everything is up: each service of ours, after what it waits for, and healthy."""
    composition = services({"FLEET_HOURS": "0.1"})
    place = urlsplit(postgres.url)
    fresh = f"compose-{uuid4().hex}"
    logs = tmp_path / "logs"
    logs.mkdir()

    async def database(stage: Stage) -> None:
        """What the image does at its first start."""
        wanted = composition["postgres"].environment
        password = stage.path("postgres", wanted["POSTGRES_PASSWORD_FILE"]).read_text().strip()
        user, name = wanted["POSTGRES_USER"], wanted["POSTGRES_DB"]
        server = await asyncpg.connect(postgres.url)
        try:
            await server.execute(f"CREATE ROLE {user} LOGIN SUPERUSER PASSWORD '{password}'")
            await server.execute(f"CREATE DATABASE {name} OWNER {user}")
        finally:
            await server.close()

    async def broker(_stage: Stage) -> None:
        """Answers already, at an address that the fixture knows."""

    async with Processes(logs) as processes:
        stage = Stage(
            composition,
            tmp_path,
            processes,
            addresses_of_others={
                ("postgres", 5432): f"{place.hostname}:{place.port}",
                ("redpanda", 9092): kafka.bootstrap,
            },
            # The broker is shared with other tests, and the embedded one lets a group begin only
            # after half a session.
            extra={
                "INGRESS_KAFKA_TOPIC": fresh,
                "CORE_CONSUMER_GROUP": fresh,
                "CORE_CONSUMER_SESSION_SECONDS": "4",
            },
        )
        await stage.up({"postgres": database, "redpanda": broker})
        yield stage


async def until(
    client: httpx.AsyncClient, path: str, found: Callable[[Mapping[str, Any]], object]
) -> Any:
    """Ask until `found` says that the answer is as it should be."""
    answer: Any = None
    for _ in range(LOOKS):
        answer = (await client.get(path)).raise_for_status().json()
        if found(answer):
            return answer
        await asyncio.sleep(LOOK_EVERY)
    pytest.fail(f"{path} still answers {answer}")


async def metrics_of_ours(stage: Stage) -> dict[str, float]:
    """What Prometheus would get from each process of ours, at the targets that it is told of."""
    found: dict[str, float] = {}
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        for job in OURS:
            name, port = scraped()[job].split(":")
            answer = await client.get(f"http://{stage.address(name, int(port))}/metrics")
            for family in text_string_to_metric_families(answer.raise_for_status().text):
                for sample in family.samples:
                    found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def is_reported(account: Mapping[str, Any]) -> bool:
    """Whether something was accepted, and a checkpoint has come since the publisher began."""
    return account["accepted"] > 0 and all(one["reported"] for one in account["publishers"])


async def a_fleet_arrives(stage: Stage, read_key: str) -> None:
    """The API shows a bus with its values, and the account closes."""
    async with httpx.AsyncClient(
        base_url=f"http://{stage.address('api', 8080)}/v1/workspaces/acme",
        headers={"Authorization": f"Bearer {read_key}"},
        timeout=PATIENCE,
    ) as client:
        shown = await until(client, "/vehicles", lambda one: one["vehicles"])
        (asset,) = shown["vehicles"][0]["assets"]
        assert asset["provider"] == "viriciti"
        assert asset["external_id"].startswith("bus-")
        assert shown["vehicles"][0]["signals"]
        account = await until(client, "/accounting", is_reported)
        assert account["unaccounted"] == 0


async def test_the_stack_takes_a_fleet_from_the_simulator_to_the_api(
    stage: Stage, tmp_path: Path, postgres: OwnPostgres
) -> None:
    files = [
        stage.path("api", "/secrets/operator/read.key"),
        stage.path("publisher", "/secrets/edge/ingest.key"),
        stage.path("api", "/secrets/core/pgpass"),
    ]
    secrets = [file.read_text() for file in files]

    await a_fleet_arrives(stage, secrets[0].strip())

    metrics = await metrics_of_ours(stage)
    assert metrics["core_consumer_records_total"] > 0  # it came through the queue
    assert {"publisher_journal_pending_records", "core_api_connections"} <= metrics.keys()

    for name in ONE_SHOTS:  # a second start finds everything, and changes nothing
        await stage.run_once(name)
    assert [file.read_text() for file in files] == secrets

    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3
    logs = "".join(log.read_text() for log in (tmp_path / "logs").iterdir())
    password = secrets[2].rpartition(":")[2].strip()
    assert not [one for one in (*secrets[:2], password) if one.strip() in logs]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.url.replace("postgres@", "ingress:wrong@"))
