"""What people see of a load: a progress bar, a line for each step, tables at the end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ingress_testbed.load.accounts import TERMS
from ingress_testbed.load.engine import Tally
from ingress_testbed.load.histogram import Histogram
from ingress_testbed.load.report import PERCENTS, Report, StepReport

Show: TypeAlias = Callable[[Tally], None]

_LINE_EVERY_SECONDS = 5.0


class Screen:
    """Progress goes to stderr; the report to stdout, or to stderr as well where that is JSON's."""

    def __init__(self, *, to_stderr: bool) -> None:
        self._paper = Console(stderr=to_stderr, highlight=False, markup=False, emoji=False)
        self._side = Console(stderr=True, highlight=False, markup=False, emoji=False)

    def say(self, text: str) -> None:
        """Say something beside the report."""
        self._side.print(text, soft_wrap=True)

    @contextmanager
    def progress(self, title: str, messages: int) -> Iterator[Show]:
        """Yield what shows a tally of a step: as a bar on a terminal, as a line now and then else."""
        if not self._side.is_terminal:
            yield self._lines(title, messages)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[state]}"),
        )
        with Progress(*columns, console=self._side, transient=True) as bar:
            task = bar.add_task(title, total=messages, state="")

            def show(tally: Tally) -> None:
                bar.update(task, completed=tally.acknowledged, state=state(tally))

            yield show

    def _lines(self, title: str, messages: int) -> Show:
        next_line = time.monotonic() + _LINE_EVERY_SECONDS

        def show(tally: Tally) -> None:
            nonlocal next_line
            if time.monotonic() >= next_line:
                next_line = time.monotonic() + _LINE_EVERY_SECONDS
                self.say(
                    f"{title}: {tally.acknowledged:,} of {messages:,} messages, {state(tally)}"
                )

        return show

    def step(self, report: StepReport) -> None:
        """Say in a line how a step went."""
        self.say(
            f"{report.plan.vehicles:,} vehicles: {report.achieved_rate:,.0f} of "
            f"{report.intended_rate:,.0f} messages/s, p99 {duration(report.p99)}"
        )

    def report(self, report: Report) -> None:
        """Print the report."""
        self._paper.print(f"\n{report.transport} to {report.target}", soft_wrap=True)
        for table in tables(report):
            self._paper.print(table)
        for line in conclusions(report):
            self._paper.print(line, soft_wrap=True)


def state(tally: Tally) -> str:
    """Return how it stands, in a few words."""
    failed = sum(tally.errors.values())
    parts = [f"p99 {duration(tally.corrected.percentile(99))}", f"{tally.waiting:,} waiting"]
    parts += [f"{tally.not_sent:,} not sent"] if tally.not_sent else []
    parts += [f"{failed:,} attempts failed"] if failed else []
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a duration for people, with three digits: 4.21 ms, 1.35 s."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1_000:.3g} ms"


def tables(report: Report) -> Iterator[RenderableType]:
    """Yield the tables of a report: rates, latencies, and accounts where core was asked."""
    steps = report.steps
    rates = _table("vehicles", "intended/s", "achieved/s", "messages", "acknowledged", "not sent", "given up")  # fmt: skip
    latencies = _table("vehicles", "latency", *(f"p{each:g}" for each in PERCENTS), "max")
    for one in steps:
        tally = one.tally
        rates.add_row(
            f"{one.plan.vehicles:,}",
            f"{one.intended_rate:,.0f}",
            f"{one.achieved_rate:,.0f}",
            f"{tally.due:,}",
            f"{tally.acknowledged:,}",
            f"{tally.not_sent:,}",
            f"{len(tally.given_up):,}",
        )
        latencies.add_row(
            f"{one.plan.vehicles:,}", "from when it was due", *_shown(tally.corrected)
        )
        latencies.add_row("", "from its attempt", *_shown(tally.uncorrected))
    yield from (rates, latencies)
    told = [one for one in steps if one.settlement is not None]
    if told:
        terms = [
            name for name in TERMS if name == "unaccounted" or any(_term(one, name) for one in told)
        ]
        accounts = _table("vehicles", *terms, "settled after")
        for one in told:
            assert one.settlement is not None  # noqa: S101 — for the type checker
            after = duration(one.settlement.seconds) if one.settlement.settled else "not in time"
            counts = (f"{_term(one, name):,}" for name in terms)
            accounts.add_row(f"{one.plan.vehicles:,}", *counts, after)
        yield accounts


def conclusions(report: Report) -> Iterator[str]:
    """Yield what is to be said of a report, a sentence each."""
    if report.interrupted:
        yield "Interrupted: the last step was cut short."
    for one in report.steps:
        yield from _remarks(one)
    found = report.saturation
    if found is not None:
        held = "none" if found.sustained is None else f"{found.sustained:,.0f} messages/s"
        yield f"Saturated at {found.rate:,.0f} messages/s: {found.reason}. Sustained before: {held}."
    elif report.steps and not report.interrupted:
        yield (
            f"Not saturated: it kept up with {report.steps[-1].intended_rate:,.0f} messages/s "
            f"(at least {report.bounds.share:.0%} achieved, p99 at most {report.bounds.p99:g} s)."
        )


def _remarks(one: StepReport) -> Iterator[str]:
    tally, name = one.tally, f"{one.plan.vehicles:,} vehicles"
    if tally.outcomes:
        counts = (f"{count:,} {outcome}" for outcome, count in tally.outcomes.most_common())
        yield f"{name}: answered {', '.join(counts)}."
    for cause, count in tally.errors.most_common():
        yield f"{name}: {count:,} x {cause}, such as: {tally.examples[cause]}"
    if tally.not_sent:
        yield f"{name}: {tally.not_sent:,} messages were not sent: the queue was full, or time was up."
    if not one.closed:
        yield (
            f"{name}: the closing checkpoint did not arrive. Core counts what it misses of this "
            "step as in flight."
        )
    if one.busy_generator:
        yield (
            f"{name}: the generator noticed messages {duration(tally.lateness.percentile(99))} late "
            "(p99): this machine is at its limit, which may not be core's. Start another generator "
            "elsewhere, with a publisher id of its own."
        )
    if not one.exact and one.settlement is not None:
        yield (
            f"{name}: the account is not exact: {tally.numbered:,} messages were sent, core has "
            f"{one.settlement.terms['received']:,}, {one.settlement.terms['in_flight']:,} in flight, "
            f"{one.settlement.terms['unaccounted']:,} unaccounted. Does somebody else send as this "
            "publisher, or does core still work on it (--patience)?"
        )


def _term(one: StepReport, name: str) -> int:
    return 0 if one.settlement is None else one.settlement.terms[name]


def _shown(histogram: Histogram) -> Iterator[str]:
    for percent in PERCENTS:
        yield duration(histogram.percentile(percent))
    yield duration(histogram.max)


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(name, justify="left" if name == "latency" else "right", no_wrap=True)
    return table
