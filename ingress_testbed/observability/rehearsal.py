"""A run of the demo under the eyes of a real Prometheus."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ingress_testbed.demo.processes import Processes, environment, ingress
from ingress_testbed.observability.prometheus import (
    SCRAPE_SECONDS,
    Answers,
    Window,
    running_prometheus,
)
from ingress_testbed.servers.settings import KafkaHome, TestbedSettings

_GRACE_SECONDS = 30.0
_ANYTHING_OF_OURS = "ingress_build_info"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A demo that has run: where its Prometheus still is, when it ran, and what it served.

    `families` are the names of all metrics that its processes told of.
    """

    url: str
    window: Window
    families: frozenset[str]


@asynccontextmanager
async def rehearsed(directory: Path, rules: Path, *arguments: str) -> AsyncIterator[Rehearsal]:
    """Run `ingress demo` with `arguments` to its end, and give what was scraped.

    It takes the servers that the environment chooses for trials. Raises ProcessEnded where the demo
    fails, ClickException where there is no Prometheus.
    """
    targets = directory / "targets.json"
    targets.write_text("[]\n", encoding="utf-8")
    async with (
        running_prometheus(directory, targets, rules) as url,
        Processes(directory) as processes,
    ):
        command = ingress("demo", "--json", "--scrape-file", str(targets), *arguments)
        demo = await processes.start(
            "demo", command, environment(**_servers()), grace_seconds=_GRACE_SECONDS
        )
        with Answers(url) as answers:
            families: set[str] = set()
            while not demo.end.done():
                families |= await asyncio.to_thread(answers.families)
                await asyncio.wait([demo.end], timeout=SCRAPE_SECONDS)
            if demo.end.result() != 0:
                raise demo.ended()
            window = await asyncio.to_thread(answers.span, _ANYTHING_OF_OURS, 3_600.0)
        if window is None:
            raise demo.ended("was not scraped")
        yield Rehearsal(url, window, frozenset(families))


def _servers() -> dict[str, str]:
    """Return the variables that choose servers; none else is handed on."""
    chosen, home = TestbedSettings(), KafkaHome().kafka_home
    return {
        "INGRESS_TESTBED_POSTGRES": chosen.testbed_postgres,
        "INGRESS_TESTBED_KAFKA": chosen.testbed_kafka,
        **({} if home is None else {"KAFKA_HOME": str(home)}),
    }
