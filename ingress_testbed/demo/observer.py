"""Looks at every hop by the doors that an operator has: status, metrics, accounting."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from core_ingest.store.queries import load
from ingress_testbed.demo.core_client import CoreClient, answered
from ingress_testbed.demo.installation import Installation
from ingress_testbed.demo.report import OUTCOMES
from ingress_testbed.demo.samples import Sample, Stream
from ingress_testbed.simulator.protocol import STATUS_PATH

_SQL = load("ingress_testbed.demo", "observe.sql")
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Provider:
    """The simulator's status: what it has sent, by publisher. `shift` (ms) is from rebasing."""

    shift: int
    sent: Mapping[str, int]
    finished: Mapping[str, bool]


class Observer:
    """Takes samples of one workspace of an installation. Raises HopSilent."""

    def __init__(self, installation: Installation, core: CoreClient, workspace: str) -> None:
        self._installation = installation
        self._core = core
        self._workspace = workspace
        self._http = httpx.AsyncClient(timeout=_SECONDS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def provider(self) -> Provider:
        """Return the simulator's status."""
        status = json.loads(await self._get(f"{self._installation.provider_url}{STATUS_PATH}"))
        keys = {
            publisher: status["keys"][name]
            for publisher, name in self._installation.provider_keys.items()
        }
        return Provider(
            shift=status["shift_ms"],
            sent={name: key["sent"] for name, key in keys.items()},
            finished={name: key["finished"] for name, key in keys.items()},
        )

    async def sample(self, at: float, expected: int) -> Sample:
        """Return all hops as they stand, asked from the last one back: none seems ahead of the first."""
        accounting = await self._core.accounting()
        metrics = [
            (name, sums(await self._get(url))) for name, url in self._installation.metrics.items()
        ]
        provider = await self.provider()
        reports = _reports(accounting)
        outcomes = {name: int(accounting[name]) for name in OUTCOMES}
        streams = tuple(
            _stream(name, found, provider, reports.get(name)) for name, found in metrics
        )
        settled = sum(outcomes.values())
        waiting = sum(one.acknowledged for one in streams) - settled - accounting["control"]
        return Sample(
            at=at,
            expected=expected,
            streams=streams,
            settled=settled,
            outcomes=outcomes,
            in_flight=accounting["in_flight"],
            unaccounted=accounting["unaccounted"],
            lag_seconds=await self._installation.pool.fetchval(_SQL["age"], self._workspace),
            waiting=None if self._installation.queue is None else max(waiting, 0),
        )

    async def facts_stored(self) -> int:
        """Return the number of rows in history."""
        return int(await self._installation.pool.fetchval(_SQL["facts_stored"], self._workspace))

    async def by_door(self) -> Mapping[str, int]:
        """Return the data messages by the door through which each came first."""
        rows = await self._installation.pool.fetch(_SQL["by_door"], self._workspace)
        return {row["door"]: row["settled"] for row in rows}

    async def _get(self, url: str) -> str:
        with answered():
            response = await self._http.get(url)
            response.raise_for_status()
        return response.text


def sums(metrics: str) -> Mapping[str, float]:
    """Return each sample name of a Prometheus text with its sum over all labels."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def _reports(accounting: Mapping[str, Any]) -> Mapping[str, datetime]:
    """Return when core took each publisher's last checkpoint, where it took any."""
    return {
        one["publisher"]: datetime.fromisoformat(one["reported"])
        for one in accounting["publishers"]
        if one["reported"]
    }


def _stream(
    name: str, metrics: Mapping[str, float], provider: Provider, reported: datetime | None
) -> Stream:
    def count(metric: str) -> int:
        return int(metrics.get(metric, 0.0))

    return Stream(
        publisher=name,
        sent=provider.sent[name],
        journalled=count("publisher_records_journalled_total"),
        acknowledged=count("publisher_records_acknowledged_total"),
        pending=count("publisher_journal_pending_records"),
        journal_bytes=count("publisher_journal_bytes"),
        finished=provider.finished[name],
        reported=reported,
        failovers=count("publisher_failovers_total"),
        standstill=metrics.get("publisher_standstill_seconds_total", 0.0),
    )
