"""What core_api contributes to `ingress doctor`: the API's connections, its keys, its port."""

import asyncio
import http.client
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence

from core_api.key_store import KeyStore, ListedKey
from core_api.keys import Role
from core_api.settings import ApiSettings
from core_ingest.checks import is_core
from core_ingest.errors import IngestError
from core_ingest.store import database
from core_ingest.store.database import DatabaseSettings
from ingress_runtime.doctor import Examination
from ingress_runtime.findings import Finding, fail, ok, warn
from ingress_runtime.settings import load

_SECONDS = 5.0
_MOST_LISTED = 20
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 — recognised, not listened on


async def examine(environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Look at the pool's size, at the keys, and whether an API answers on the port."""
    settings, database_settings = load(ApiSettings, DatabaseSettings, environ=environ)
    yield _pool(settings, database_settings)
    async for finding in _keys(database_settings):
        yield finding
    if settings.port:
        yield await asyncio.to_thread(_api, settings)


def _pool(settings: ApiSettings, database_settings: DatabaseSettings) -> Finding:
    found = (
        f"the API needs {settings.connections} connections, "
        f"INGRESS_DATABASE_POOL_SIZE is {database_settings.pool_size}"
    )
    if database_settings.pool_size < settings.connections:
        return fail(
            "connections",
            found,
            "Raise it, or lower CORE_API_COMMIT_WORKERS or CORE_API_READ_CONNECTIONS.",
        )
    return ok("connections", found)


async def _keys(database_settings: DatabaseSettings) -> AsyncIterator[Finding]:
    """List the keys that are valid, with role and binding; without a database, nothing is said."""
    try:
        pool = await database.connect(
            database_settings.url.get_secret_value(), min_size=1, max_size=1
        )
    except IngestError:
        return  # the database's own examination says so
    try:
        keys = await KeyStore(pool, seconds=_SECONDS).list()
    except IngestError:
        return  # likewise
    finally:
        await pool.close()
    yield _listed([key for key in keys if key.valid])


def _listed(keys: Sequence[ListedKey]) -> Finding:
    tally = Counter(key.role for key in keys)
    lines = [_line(key) for key in keys[:_MOST_LISTED]]
    if len(keys) > _MOST_LISTED:
        lines.append(f"and {len(keys) - _MOST_LISTED} more: `ingress keys list`")
    found = ", ".join(f"{tally[role]} of role {role}" for role in Role if tally[role])
    missing = [role for role in (Role.INGEST, Role.READ) if not tally[role]]
    if not missing:
        return ok("keys", f"{len(keys)} valid: {found}", tuple(lines))
    commands = {
        Role.INGEST: "ingress keys create --role ingest --workspace acme --publisher edge-1",
        Role.READ: "ingress keys create --role read --workspace acme",
    }
    return warn(
        "keys",
        f"none is valid of role {' and none of role '.join(missing)}",
        "; ".join(commands[role] for role in missing),
        tuple(lines),
    )


def _line(key: ListedKey) -> str:
    publisher = f", publisher {key.publisher}" if key.publisher else ""
    ends = f", until {key.expires:%Y-%m-%d %H:%M:%SZ}" if key.expires else ""
    return f"{key.id}  {key.role}  {key.workspace or 'all workspaces'}{publisher}{ends}"


def _api(settings: ApiSettings) -> Finding:
    """Ask the API of this machine whether it is ready."""
    host = _EVERYWHERE.get(settings.host, settings.host)
    where = f"{host}:{settings.port}"
    connection = http.client.HTTPConnection(host, settings.port, timeout=_SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = json.loads(answer.read(100_000))
    except OSError as error:
        return warn(
            "api",
            f"no API answers on {where}: {error.strerror or error}",
            "Start it: ingress api",
        )
    except (http.client.HTTPException, ValueError):
        said = None
    finally:
        connection.close()
    if not isinstance(said, dict) or not {"ready", "objections"} & said.keys():
        return fail(
            "api",
            f"something else answers on {where}",
            "Choose another CORE_API_PORT, or stop what listens there.",
        )
    if said.get("ready") is True:
        return ok("api", f"it is ready on {where}")
    return fail("api", f"it is not ready on {where}: {said.get('detail')}", "Mend what it names.")


EXAMINATION = Examination(
    name="core's API",
    settings=(ApiSettings, DatabaseSettings),
    concerned=is_core,
    concerned_if="INGRESS_DATABASE_URL or a CORE_ variable is set",
    examine=examine,
)
