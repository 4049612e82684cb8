"""A replay from its beginning, or from where it was interrupted, to its end, at a capped rate."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from core_ingest.dead_letters.desk import Desk, Remaining, Run
from core_ingest.dead_letters.filters import Filters
from core_ingest.dead_letters.verdicts import Tally

MOST_REHEARSED = 10_000
"""Messages of a dry run: its transaction holds the locks of their assets until it is rolled back."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to replay: at most `limit` messages, `size` in one transaction, `rate` a second."""

    filters: Filters
    limit: int | None = None
    size: int = 200
    rate: float | None = None

    @property
    def name(self) -> str:
        """Return under what an interrupted replay of this plan is found again."""
        return f"{json.dumps(self.limit)} {self.filters.text()}"

    @property
    def batch(self) -> int:
        """Return how many messages go into one transaction: of a slow replay, those of a second."""
        return self.size if self.rate is None else max(1, min(self.size, int(self.rate)))


@dataclass(slots=True)
class Pace:
    """Spreads work over time: at most `rate` a second. Instants and lengths are in seconds."""

    rate: float | None
    _due: float = field(default=0.0, init=False)

    def pause(self, done: int, begun: float, now: float) -> float:
        """Return how long to wait after `done` pieces that were begun at `begun`."""
        if self.rate is None:
            return 0.0
        self._due = max(self._due, begun) + done / self.rate
        return max(0.0, self._due - now)


@dataclass(frozen=True, slots=True)
class Report:
    """What a replay came to; `complete` unless it was interrupted. `left` waits all the same."""

    tally: Tally
    complete: bool
    left: Remaining


Told = Callable[[int], None]
"""Called after each batch with how many messages it had."""


async def start(desk: Desk, plan: Plan, *, anew: bool) -> tuple[Run, Remaining]:
    """Return where the plan's replay begins, and what waits from there on.

    That is where one of this plan was interrupted, unless it is to begin `anew`.
    """
    if anew:
        await desk.end(plan.name)
    run = await desk.interrupted(plan.name) or Run(0, await desk.begin())
    return run, await desk.remaining(plan.filters, run.cursor)


async def rehearse(desk: Desk, plan: Plan, run: Run) -> Tally:
    """Return what `replay` would make of the next messages; at most MOST_REHEARSED."""
    limit = min(MOST_REHEARSED, _left(plan, run))
    return await desk.rehearse(await desk.batch(plan.filters, run.cursor, limit))


async def replay(  # noqa: PLR0913 — clock and rest are given, so that no test waits
    desk: Desk,
    plan: Plan,
    run: Run,
    *,
    clock: Callable[[], float],
    rest: Callable[[float], Awaitable[object]],
    stopped: Callable[[], bool],
    told: Told,
) -> Report:
    """Replay batch after batch until nothing is left, or `stopped` says so between two batches.

    `rest` waits for some seconds. Raises StoreUnavailable; another call of the same plan then goes
    on behind the last batch that was committed.
    """
    tally, pace, complete = Tally(), Pace(plan.rate), True
    while limit := min(plan.batch, _left(plan, run)):
        batch = await desk.batch(plan.filters, run.cursor, limit)
        if not batch:
            break
        if stopped():
            complete = False
            break
        begun = clock()
        run = Run(run.handled + len(batch), batch[-1].cursor)
        tally = tally.plus(await desk.replay(batch, (plan.name, run)))
        told(len(batch))
        await rest(pace.pause(len(batch), begun, clock()))
    if complete:
        await desk.end(plan.name)
    return Report(tally, complete, await desk.remaining(plan.filters, await desk.begin()))


def _left(plan: Plan, run: Run) -> int:
    """Return how many messages the plan still asks for; without a limit, more than any batch."""
    return (
        max(plan.size, MOST_REHEARSED) if plan.limit is None else max(0, plan.limit - run.handled)
    )
