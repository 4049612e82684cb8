"""What is right at the end of a trial, whatever happened in it."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from core_ingest.reading import of_columns
from core_ingest.store.queries import load
from ingress_testbed.demo.installation import WORKSPACE
from ingress_testbed.demo.report import OUTCOMES
from ingress_testbed.faults.backlog import backlog
from ingress_testbed.faults.design import PUBLISHER, PUBLISHER_ID
from ingress_testbed.faults.plant import Plant
from ingress_testbed.truth import facts_of
from telematics_publisher.clock import wall_clock
from telematics_publisher.journal.store import JournalStore

_SQL = load("ingress_testbed.faults", "trial.sql")
_QUIET_SECONDS = 60.0
_LOOK_EVERY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Ending:
    """What is left: core's accounting, and what can be counted without it.

    `numbers` were handed out by the journal, in all its epochs; `waiting` of them are in it still.
    `lost` are facts of the recording that core does not have, `invented` the other way round.
    `unread` are records of the queue that core has not acknowledged to it.
    """

    accounting: Mapping[str, int]
    numbers: int
    waiting: int
    lost: int
    invented: int
    dead_letters: Mapping[str, int]
    unread: int


async def ending_of(plant: Plant) -> Ending:
    """Stop the publisher, which drains its journal, let core read its queue, and take stock."""
    if (code := await plant.stop(PUBLISHER)) != 0:
        raise RuntimeError(f"the publisher ended with exit code {code}")
    numbers, waiting = await asyncio.to_thread(_journal, plant)
    accounting, unread = await _read_out(plant, numbers)
    rows = await plant.pool.fetch(_SQL["facts"], WORKSPACE)
    stored = {
        (
            row["external_id"],
            row["signal"],
            row["observed"],
            of_columns(row["num"], row["lon"], row["text"]),
        )
        for row in rows
    }
    true = await asyncio.to_thread(
        lambda: facts_of(islice(plant.design.recording.frames(), plant.frames))
    )
    return Ending(
        accounting=accounting,
        numbers=numbers,
        waiting=waiting,
        lost=len(true - stored),
        invented=len(stored - true) + len(rows) - len(stored),
        dead_letters=await dead_letters(plant, WORKSPACE),
        unread=unread,
    )


async def dead_letters(plant: Plant, workspace: str) -> Mapping[str, int]:
    """Return how many dead letters a workspace has, by reason."""
    rows = await plant.pool.fetch(_SQL["dead_letters"], workspace)
    return {row["reason"]: row["letters"] for row in rows}


def objections(ending: Ending) -> Iterator[str]:
    """Yield a sentence for each thing that is not right; none: all is well."""
    account = ending.accounting
    for name in ("unaccounted", "in_flight", "dropped", "quarantined", "dead_lettered"):
        if account[name]:
            yield f"{account[name]:,} messages are {name}."
    terms = sum(account[name] for name in (*OUTCOMES, "in_flight", "unaccounted"))
    if account["received"] != terms:
        yield f"The equation does not hold: received {account['received']:,}, its terms {terms:,}."
    settled = account["received"] + account["control"]
    if settled != ending.numbers:
        yield f"The journal handed out {ending.numbers:,} numbers, but core settled {settled:,}."
    if ending.waiting:
        yield f"{ending.waiting:,} records are left in the journal."
    if ending.unread:
        yield f"{ending.unread:,} records of the queue are not acknowledged."
    if ending.lost:
        yield f"{ending.lost:,} facts of the recording are not stored."
    if ending.invented:
        yield f"{ending.invented:,} facts are stored that the recording does not hold."
    if ending.dead_letters:
        yield f"There are dead letters: {dict(ending.dead_letters)}."


async def _read_out(plant: Plant, numbers: int) -> tuple[Mapping[str, int], int]:
    """Return the accounting and the unread records once nothing moves: all settled, or a minute."""
    if plant.queue is None:
        return await plant.accounting(), 0
    loop = asyncio.get_running_loop()
    seen, moved = None, loop.time()
    while True:
        accounting, unread = await plant.accounting(), await backlog(plant.queue)
        settled = accounting["received"] + accounting["control"]
        open_ = unread + accounting["in_flight"] + accounting["unaccounted"]
        if settled == numbers and not open_:
            return accounting, unread
        if (settled, open_) != seen:
            seen, moved = (settled, open_), loop.time()
        elif loop.time() - moved > _QUIET_SECONDS:
            return accounting, unread
        await asyncio.sleep(_LOOK_EVERY_SECONDS)


def _journal(plant: Plant) -> tuple[int, int]:
    store = JournalStore.open(
        plant.journal, workspace=WORKSPACE, publisher=PUBLISHER_ID, now=wall_clock()
    )
    try:
        return store.head, len(store.pending)
    finally:
        store.close()
