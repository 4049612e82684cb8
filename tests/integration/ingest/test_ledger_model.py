"""The ledger of any history of settlements and reports is that of plain sets."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core_ingest.door import Door
from core_ingest.ledger.accounting import outstanding
from core_ingest.ledger.compactor import compact
from core_ingest.ledger.numbers import BLOCK

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio

EARLY, LATE = UUID(int=1), UUID(int=2)

OPEN = ("unaccounted", "in_flight", "stranded")

Account: TypeAlias = tuple[str, UUID]


@dataclass
class Model:
    """The ledger as plain sets."""

    settled: dict[Account, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    reports: dict[Account, tuple[int, int, set[int]]] = field(default_factory=dict)
    redelivered: int = 0

    def settle(self, of: Account, numbers: Iterable[int], outcome: str) -> None:
        for number in sorted(set(numbers)):
            if number in self.settled[of]:
                self.redelivered += outcome != "dropped"
            else:
                self.settled[of][number] = outcome

    def terms(self) -> dict[str, int]:
        total: Counter[str] = Counter()
        reporting = {publisher for publisher, _ in self.reports}
        for of in self.settled.keys() | self.reports.keys():
            known = self.settled[of]
            total.update(known.values())
            first, head, pending = self.reports.get(of, (None, -1, set()))
            low = min([*known, *([] if first is None else [first])], default=0)
            for number in range(low, max(head, *known, -1) + 1):
                if number not in known:
                    lost = number <= head and number not in pending
                    total["unaccounted" if lost else "in_flight"] += 1
                    total["stranded"] += not lost and of[0] not in reporting
        total["received"] = sum(total.values()) - total["control"] - total["stranded"]
        total["redelivered"] = self.redelivered
        return {name: count for name, count in total.items() if count}


accounts = st.tuples(st.sampled_from(["edge-1", "edge-2"]), st.sampled_from([EARLY, LATE]))
around = st.sampled_from([0, BLOCK - 5]).flatmap(
    lambda base: st.sets(st.integers(base, base + 12), min_size=1)
)
settling = st.tuples(
    st.just("settle"),
    accounts,
    around,
    st.sampled_from(["accepted", "duplicate", "quarantined", "control"]),
    st.sampled_from(Door),
)
reporting = st.tuples(
    st.just("report"), accounts, st.integers(0, 6), st.integers(0, 14), around, around
)
steps = st.lists(settling | reporting | st.just(("compact",)), max_size=12)


def spans(numbers: Iterable[int]) -> list[tuple[int, int]]:
    return [(number, number) for number in sorted(numbers)]


async def everywhere(core: "Core") -> Counter[str]:
    """Return what is open in all workspaces together."""
    async with (
        core.pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        return Counter(dict.fromkeys(OPEN, 0)) + await outstanding(connection)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
async def test_accounting_equals_that_of_plain_sets(
    core: "Core", edge: "Edge", history: list[tuple[Any, ...]]
) -> None:
    """Each example has a workspace of its own, so that the database may be shared."""
    workspace = f"w-{uuid4()}"
    model = Model()
    before = await everywhere(core)
    for number, step in enumerate(history):
        if step[0] == "compact":
            await compact(core.pool)
            continue
        of: Account = step[1]
        sender = type(edge)(workspace, *of)
        if step[0] == "settle":
            await core.settle(sender, step[2], step[3], step[4])
            model.settle(of, step[2], step[3])
        else:
            first, head = step[2], step[2] + step[3] - 1
            pending, dropped = (set(range(first, head + 1)) & chosen for chosen in step[4:])
            await core.take(sender.checkpoint(number, first, head, spans(pending), spans(dropped)))
            model.settle(of, dropped, "dropped")
            _, highest, _ = model.reports.get(of, (first, head, pending))
            model.reports[of] = (first, max(head, highest), pending)

    assert await core.accounted(workspace) == model.terms()
    grown = await everywhere(core)
    grown.subtract(before)
    assert grown == Counter({term: model.terms().get(term, 0) for term in OPEN})
