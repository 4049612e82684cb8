"""Looks at all processes again and again, and makes a status of what is new since a while ago."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from urllib.parse import urlsplit

from ingress_runtime.redact import redact_url
from ingress_runtime.status import accounts as accounting
from ingress_runtime.status.accounts import Accounts
from ingress_runtime.status.reading import Reading
from ingress_runtime.status.rendering import Answer, Status
from ingress_runtime.status.scraping import Target, Unreachable, scrape
from ingress_runtime.status.section import GROUP, Contributor, Section, merged
from ingress_runtime.status.verdict import Memory, verdict
from ingress_runtime.status.window import Span, Window

DEFAULT_TARGETS = (
    Target("http://127.0.0.1:9464/metrics", "publisher"),
    Target("http://127.0.0.1:8080/metrics", "api"),
    Target("http://127.0.0.1:9465/metrics", "consumer"),
)
"""Where the processes listen unless their settings say otherwise (docs/settings.md)."""

_OWN = {"publisher_": "publisher", "core_consumer_": "consumer", "core_api_": "api"}
"""A process is known by the metrics that only it has."""

_MOST_AT_ONCE = 16


def contributors() -> list[Contributor]:
    """Return what the rooms contribute, by the entry points' names."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    return [entry.load() for entry in found]


class Lookout:
    """Remembers readings for the length of the window, and causes for as long as they are seen.

    `wall` tells seconds since 1970. The first look has nothing to compare with, so it shows what
    happened since the processes started.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        contribute: Iterable[Contributor],
        *,
        wall: Callable[[], float],
        window_seconds: float,
        accounts: Accounts | None = None,
    ) -> None:
        self._contribute = tuple(contribute)
        self._wall = wall
        self._window_seconds = window_seconds
        self._accounts = accounts
        self._past: dict[Target, deque[Reading]] = {target: deque() for target in targets}
        self._names: dict[Target, str] = {}
        self._memory = Memory()
        self._first = True

    def look(self) -> Status:
        """Ask all processes at once and return how things stand."""
        workspaces = self._accounts.workspaces if self._accounts else ()
        with ThreadPoolExecutor(min(_MOST_AT_ONCE, len(self._past) + len(workspaces))) as pool:
            asked = pool.map(self._ask, workspaces)
            readings = dict(zip(self._past, pool.map(self._scrape, self._past), strict=True))
            accounts = dict(zip(workspaces, asked, strict=True))
        now = self._wall()
        spans = [
            self._span(target, reading, now)
            for target, reading in readings.items()
            if isinstance(reading, Reading)
        ]
        window = Window(spans, now, since_start=self._first)
        self._first = self._first and not spans
        answers = [self._answer(target, reading) for target, reading in readings.items()]
        return self._status(window, answers, accounts)

    def _status(
        self,
        window: Window,
        answers: list[Answer],
        accounts: dict[str, dict[str, int] | Unreachable],
    ) -> Status:
        seen = any(one.error is None for one in answers)
        parts: list[Section] = []
        if seen:
            parts += [part for one in self._contribute for part in one(window)]
        told = {name: terms for name, terms in accounts.items() if isinstance(terms, dict)}
        if told:
            parts.append(accounting.section(told))
        sections = merged(parts)
        # from the database back to the provider: what holds up the last, holds up those before it
        symptoms = [one for section in reversed(sections) for one in section.symptoms]
        silent = [
            Answer(self._accounts.url, f"the accounting of {name}", str(error))
            for name, error in accounts.items()
            if self._accounts and isinstance(error, Unreachable)
        ]
        found = verdict(
            symptoms,
            unseen=[
                f"the {one.name} at {urlsplit(one.url).netloc}" for one in answers if one.error
            ],
            answered=seen,
            lasting=self._memory.lasting(symptoms, window.now),
        )
        return Status(
            window.now,
            None if window.since_start else window.seconds,
            (*answers, *silent),
            tuple(sections),
            found,
        )

    def _scrape(self, target: Target) -> Reading | Unreachable:
        try:
            return scrape(target, self._wall)
        except Unreachable as error:
            return error

    def _ask(self, workspace: str) -> dict[str, int] | Unreachable:
        try:
            return self._accounts.of(workspace) if self._accounts else {}
        except Unreachable as error:
            return error

    def _span(self, target: Target, reading: Reading, now: float) -> Span:
        past = self._past[target]
        begin = now - self._window_seconds
        # of the readings before the window the last one stays: the window begins there
        while len(past) > 1 and past[1].at <= begin:
            past.popleft()
        earlier = past[0] if past else None
        past.append(reading)
        if earlier is None and not self._first and (reading.started or 0.0) < begin:
            earlier = reading  # it was there and did not answer: nothing is known of its past
        return Span(earlier, reading)

    def _answer(self, target: Target, found: Reading | Unreachable) -> Answer:
        url = redact_url(target.url)
        if isinstance(found, Reading):
            self._names[target] = _name(found) or target.name or urlsplit(url).netloc
            return Answer(url, self._names[target])
        return Answer(url, self._names.get(target) or target.name or "process", str(found))


def _name(reading: Reading) -> str | None:
    names = [name for name, _ in reading.series]
    return next(
        (own for prefix, own in _OWN.items() if any(name.startswith(prefix) for name in names)),
        None,
    )
