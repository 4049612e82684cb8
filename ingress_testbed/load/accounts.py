"""What core says became of a load: asked of its API, or of its database."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import asyncpg
import httpx

from core_ingest.errors import IngestError
from core_ingest.ledger.accounting import Terms, account
from core_ingest.store.database import connect
from ingress_runtime.redact import redact_text
from ingress_testbed.load.target import Hopeless

OUTCOMES = (
    "accepted",
    "unchanged",
    "stale",
    "duplicate",
    "conflict",
    "empty",
    "quarantined",
    "dead_lettered",
    "dropped",
)
TERMS = ("received", *OUTCOMES, "in_flight", "unaccounted")
Account: TypeAlias = Mapping[str, int]
"""Messages of one publisher by term: TERMS."""

_LOOK_EVERY_SECONDS = 0.1
_SECONDS = 30.0


class Accounts(Protocol):
    """Whoever can be asked."""

    async def now(self) -> Account:
        """Return the account of the publisher as of now. Raises Hopeless."""
        ...


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a load, as the difference of two accounts.

    `seconds` passed while core was asked, until nothing was in flight any more: it is `settled`
    then, and otherwise not in time.
    """

    terms: Account
    seconds: float
    settled: bool

    @property
    def arrived(self) -> int:
        """How many messages have an outcome that is core's, and not ours."""
        return sum(self.terms[name] for name in OUTCOMES) - self.terms["dropped"]

    def exact(self, numbered: int) -> bool:
        """Tell whether each of so many numbers has one outcome."""
        settled = sum(self.terms[name] for name in OUTCOMES)
        return settled == self.terms["received"] == numbered and self.terms["unaccounted"] == 0


async def settlement(
    accounts: Accounts, before: Account, numbered: int, patience: float, clock: Callable[[], float]
) -> Settlement:
    """Ask until core has settled `numbered` more messages than `before`, or for `patience` seconds.

    Raises Hopeless.
    """
    begun = clock()
    while True:
        now = await accounts.now()
        terms = {name: now[name] - before[name] for name in TERMS}
        seconds = clock() - begun
        if terms["received"] >= numbered and terms["in_flight"] <= 0:
            return Settlement(terms, seconds, settled=True)
        if seconds >= patience:
            return Settlement(terms, seconds, settled=False)
        await asyncio.sleep(_LOOK_EVERY_SECONDS)


@asynccontextmanager
async def by_api(
    api_url: str, key: str, workspace: str, publisher: str
) -> AsyncIterator["ApiAccounts"]:
    """Yield the accounts that core's API serves under a read key."""
    async with httpx.AsyncClient(
        base_url=api_url, headers={"authorization": f"Bearer {key}"}, timeout=_SECONDS
    ) as client:
        yield ApiAccounts(client, workspace, publisher)


@asynccontextmanager
async def by_database(
    url: str, workspace: str, publisher: str
) -> AsyncIterator["DatabaseAccounts"]:
    """Yield the accounts that core's database holds. Raises Hopeless where it is not reached."""
    async with AsyncExitStack() as stack:
        try:
            pool = await connect(url, min_size=1, max_size=2)
        except IngestError as error:
            raise Hopeless(f"core's database cannot be asked: {error}") from error
        stack.push_async_callback(pool.close)
        yield DatabaseAccounts(pool, workspace, publisher)


class ApiAccounts:
    """Asks `GET /v1/workspaces/{workspace}/accounting`. See Accounts."""

    def __init__(self, client: httpx.AsyncClient, workspace: str, publisher: str) -> None:
        self._client = client
        self._workspace = workspace
        self._publisher = publisher

    async def now(self) -> Account:
        """Return the account as of now; a workspace that core does not know has none yet."""
        path = f"/v1/workspaces/{self._workspace}/accounting"
        try:
            response = await self._client.get(path)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Hopeless(
                f"{self._client.base_url} cannot be asked for the accounting: "
                f"{redact_text(repr(error))}. Correct --accounting-url, or leave the read key away."
            ) from error
        if response.status_code == httpx.codes.NOT_FOUND:
            return _terms({})
        if response.status_code != httpx.codes.OK:
            raise Hopeless(
                f"{self._client.base_url} does not tell the accounting: HTTP "
                f"{response.status_code}. Make a read key where core is: "
                f"ingress keys create --role read --workspace {self._workspace}"
            )
        found = response.json()["publishers"]
        return _terms(next((one for one in found if one["publisher"] == self._publisher), {}))


class DatabaseAccounts:
    """Asks the ledger itself, in Postgres. See Accounts."""

    def __init__(self, pool: asyncpg.Pool, workspace: str, publisher: str) -> None:
        self._pool = pool
        self._workspace = workspace
        self._publisher = publisher

    async def now(self) -> Account:
        """Return the account as of now, everything committed included."""
        try:
            found = await account(self._pool, self._workspace)
        except IngestError as error:
            raise Hopeless(f"core's database does not tell the accounting: {error}") from error
        ours = (one for one in found.publishers if one.publisher == self._publisher)
        return _terms(next(ours, Terms()).model_dump())


def _terms(found: Mapping[str, Any]) -> Account:
    return {name: int(found.get(name, 0)) for name in TERMS}
