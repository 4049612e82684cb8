"""Core as its readers see it: the HTTP API with a read key."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import click
import httpx

from ingress_testbed.truth import Latest, Position, Value

_PAGE = 200
_SECONDS = 30.0


class HopSilent(click.ClickException):
    """A process of the demo does not answer, or not as it should."""


class CoreClient:
    """Reads one workspace. Raises HopSilent where core does not answer as it should."""

    def __init__(self, api_url: str, workspace: str, key: str) -> None:
        self.workspace = workspace
        self.base = f"{api_url}/v1/workspaces/{workspace}"
        self.key = key
        self._http = httpx.AsyncClient(headers={"x-api-key": key}, timeout=_SECONDS)

    async def accounting(self) -> dict[str, Any]:
        """Return the accounting as it is served."""
        accounting: dict[str, Any] = await self._get("/accounting")
        return accounting

    async def vehicles(self) -> AsyncIterator[dict[str, Any]]:
        """Yield all vehicles, page by page."""
        after: str | None = None
        while True:
            page = await self._get("/vehicles", limit=_PAGE, **({"after": after} if after else {}))
            for vehicle in page["vehicles"]:
                yield vehicle
            after = page["next"]
            if after is None:
                return

    async def snapshot(self) -> dict[tuple[str, str], Latest]:
        """Return all served values by (vehicle as the provider names it, signal)."""
        return {
            (signal["external_id"], signal["signal"]): _latest(signal)
            async for vehicle in self.vehicles()
            for signal in vehicle["signals"]
        }

    async def value_at(self, vehicle: UUID, signal: str, observed: datetime) -> Any:
        """Return the value of a signal at one instant as it is served, None where there is none."""
        end = observed + timedelta(microseconds=1)
        query = {"signal": signal, "from": observed.isoformat(), "to": end.isoformat()}
        page = await self._get(f"/vehicles/{vehicle}/history", **query)
        return page["readings"][0]["value"] if page["readings"] else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def _get(self, path: str, **query: str | int) -> Any:
        with answered():
            response = await self._http.get(self.base + path, params=query)
            response.raise_for_status()
        return response.json()


@contextmanager
def answered() -> Iterator[None]:
    """Turn httpx's exceptions into HopSilent."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise HopSilent(
            f"{error.request.url.copy_with(query=None)} answers {error.response.status_code}: {error.response.text[:300]}"
        ) from error
    except httpx.HTTPError as error:
        raise HopSilent(
            f"{error.request.url.copy_with(query=None)} does not answer: {error!r}"
        ) from error


def _latest(signal: dict[str, Any]) -> Latest:
    return Latest(_value(signal["value"]), datetime.fromisoformat(signal["observed"]))


def _value(served: Any) -> Value:
    match served:
        case {"latitude": latitude, "longitude": longitude}:
            return Position(float(latitude), float(longitude))
        case str():
            return served
        case _:
            return float(served)
