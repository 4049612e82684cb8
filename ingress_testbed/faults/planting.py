"""A plant is made: its database and topic, the route between them, and all keys."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import SplitResult, urlsplit, urlunsplit

from core_api.key_store import KeyStore
from core_api.keys import Role
from ingress_testbed.demo.ground import ground
from ingress_testbed.demo.installation import WORKSPACE
from ingress_testbed.demo.survey import survey
from ingress_testbed.faults.design import PROBE, PUBLISHER_ID, Design, Secrets
from ingress_testbed.faults.plant import Plant
from ingress_testbed.faults.proxy import Proxy
from ingress_testbed.servers.kafka import KafkaCluster


@asynccontextmanager
async def planted(
    design: Design,
    directory: Path,
    postgres_url: str,
    route: Proxy | None = None,
    cluster: KafkaCluster | None = None,
) -> AsyncIterator[Plant]:
    """Give a plant on a fresh database of the server, whose simulator runs; stop it all at the end.

    Core reaches its database over `route`, if there is one, and the publisher core by a fresh topic
    of `cluster`.
    """
    found = await asyncio.to_thread(survey, design.recording)
    async with ground(directory, postgres_url, cluster) as base:
        parts = urlsplit(base.database_url)
        keys = KeyStore(base.pool)
        known = Secrets(
            ingest_key=(await keys.create(Role.INGEST, WORKSPACE, PUBLISHER_ID)).text,
            probe_key=(await keys.create(Role.INGEST, PROBE, PUBLISHER_ID)).text,
            admin_key=(await keys.create(Role.ADMIN, None, None)).text,
            read_key=(await keys.create(Role.READ, WORKSPACE, None)).text,
            provider_key=secrets.token_urlsafe(12),
            database_password=parts.password or secrets.token_urlsafe(12),
        )
        plant = Plant(
            design=design,
            directory=directory,
            found=found,
            base=replace(base, database_url=_routed(parts, known.database_password, route)),
            secrets=known,
        )
        try:
            await plant.start_simulator()
            yield plant
        finally:
            await plant.close()


def _routed(parts: SplitResult, password: str, route: Proxy | None) -> str:
    """Return the database's URL with a password (a server that trusts does not ask) and a route."""
    host, port = (
        (parts.hostname, parts.port or 5432) if route is None else ("127.0.0.1", route.port)
    )
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{password}@{host}:{port}"))
