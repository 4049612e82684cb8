"""One API process over one database, for all tests that give core something bad."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import httpx
import pytest

from core_ingest.store import database
from tests.acceptance.processes import PATIENCE, Core, Process


@pytest.fixture(scope="session")
def core(own_database_url: str) -> Iterator[Core]:
    """A real API process over a fresh database; keys are looked up anew for each request."""
    environ = {
        "INGRESS_DATABASE_URL": own_database_url,
        "CORE_API_PORT": "0",
        "CORE_API_KEY_CACHE_SECONDS": "0",
    }
    with ExitStack() as resources:
        runner = resources.enter_context(asyncio.Runner())
        pool = runner.run(database.connect(own_database_url, max_size=2))
        resources.callback(lambda: runner.run(pool.close()))
        process = resources.enter_context(Process(environ, "api"))
        api = f"http://127.0.0.1:{process.event('api_listening')['port']}"
        client = resources.enter_context(httpx.Client(base_url=api, timeout=PATIENCE))
        yield Core(api, client, runner.run, pool)


@pytest.fixture
def workspace() -> str:
    """The name of a workspace of the test's own."""
    return f"w-{uuid4().hex}"
