"""`decide` against the rules as the design states them, over any history in any batches."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_ingest.decide import Candidate, Decision, Instant, Key, Mark, Raised, decide, lookups
from core_ingest.outcome import OutcomeKind
from core_ingest.reading import Value, order
from core_ingest.signals.catalogue import Signal

SKEW = 3
SPEED: Key = (1, 1, 1)
PLACE: Key = (1, 2, 2)
SIGNALS = {SPEED: Signal("speed", None, deadband=1.0), PLACE: Signal("place", None, deadband=3.0)}

ACCEPTED, UNCHANGED, CONFLICT, STALE, DUPLICATE, QUARANTINED = list(OutcomeKind)[:6]


def candidate(observed: int, value: Value, received: int = 1_000, key: Key = SPEED) -> Candidate:
    return Candidate(key, observed, received, value, 0, SIGNALS[key])


def decided(candidates: Sequence[Candidate]) -> Decision:
    """Decide one batch over an empty database."""
    return decide(candidates, {}, {}, SKEW)


def risen(decision: Decision) -> dict[Key, Mark]:
    """The marks that a decision leaves behind, as the next batch reads them."""
    return {
        key: Mark(raised.fact.observed, raised.fact.value, raised.significant)
        for key, raised in decision.raised.items()
    }


@dataclass
class Model:
    """The rules, one after the other, over the whole history; no watermark saves a look."""

    history: dict[Key, set[tuple[int, Value]]] = field(
        default_factory=lambda: {key: set() for key in SIGNALS}
    )
    significant: dict[Key, Value] = field(default_factory=dict)

    def latest(self, key: Key) -> tuple[int, Value] | None:
        return max(self.history[key], key=lambda fact: (fact[0], order(fact[1])), default=None)

    def judge(self, new: Candidate) -> OutcomeKind:
        facts = self.history[new.key]
        newest = self.latest(new.key)
        verdict = self._verdict(new, newest)
        if verdict not in {DUPLICATE, QUARANTINED}:
            facts.add((new.observed, new.value))
            if self.latest(new.key) != newest and not self._within_deadband(new):
                self.significant[new.key] = new.value
        return verdict

    def _verdict(self, new: Candidate, newest: tuple[int, Value] | None) -> OutcomeKind:
        facts = self.history[new.key]
        if (new.observed, new.value) in facts:
            return DUPLICATE
        if new.observed > new.received + SKEW:
            return QUARANTINED
        if any(observed == new.observed for observed, _ in facts):
            return CONFLICT
        if newest is not None and new.observed < newest[0]:
            return STALE
        return UNCHANGED if self._within_deadband(new) else ACCEPTED

    def _within_deadband(self, new: Candidate) -> bool:
        last = self.significant.get(new.key)
        return last is not None and SIGNALS[new.key].insignificant(new.value, last)

    def marks(self) -> dict[Key, Mark]:
        return {
            key: Mark(*newest, self.significant[key])
            for key in SIGNALS
            if (newest := self.latest(key)) is not None
        }

    def stored(self, instants: set[Instant] | None = None) -> dict[Instant, list[Value]]:
        """The facts at `instants`, or all of them."""
        found: dict[Instant, list[Value]] = {}
        for key, facts in self.history.items():
            for observed, value in facts:
                if instants is None or (*key, observed) in instants:
                    found.setdefault((*key, observed), []).append(value)
        return found


numbers = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 9.0])
texts = st.sampled_from(["", "a", "é"])
places = st.sampled_from([(52.0, 5.0), (52.00001, 5.0), (52.1, 5.0), (52.1, -5.0)])
candidates = st.builds(
    candidate,
    st.integers(0, 8),
    numbers | texts | places,
    st.integers(0, 8),
    st.sampled_from(list(SIGNALS)),
)
batches = st.lists(st.lists(candidates, max_size=12), max_size=6)


@given(batches)
def test_verdicts_follow_the_rules_in_their_order_whatever_the_batches(
    history: list[list[Candidate]],
) -> None:
    model = Model()
    for batch in history:
        marks = model.marks()
        found = model.stored(lookups(batch, marks))
        decision = decide(batch, marks, found, SKEW)

        assert decision.verdicts == [model.judge(new) for new in batch]
        marks |= risen(decision)
        assert marks == model.marks()


@given(batches, st.lists(candidates, max_size=12))
def test_facts_are_exactly_what_the_history_lacks(
    history: list[list[Candidate]], batch: list[Candidate]
) -> None:
    model = Model()
    for new in (new for earlier in history for new in earlier):
        model.judge(new)
    before = deepcopy(model.history)
    decision = decide(batch, model.marks(), model.stored(), SKEW)
    for new in batch:
        model.judge(new)

    added = [(fact.key, (fact.observed, fact.value)) for fact in decision.facts]
    assert len(added) == len(set(added))
    assert set(added) == {
        (key, fact) for key, facts in model.history.items() for fact in facts - before[key]
    }


@given(batches, st.lists(candidates, max_size=12))
def test_lookups_contain_every_instant_at_which_a_fact_may_be_stored(
    history: list[list[Candidate]], batch: list[Candidate]
) -> None:
    model = Model()
    for new in (new for earlier in history for new in earlier):
        model.judge(new)
    marks = model.marks()

    looked_up = decide(batch, marks, model.stored(lookups(batch, marks)), SKEW)

    assert looked_up == decide(batch, marks, model.stored(), SKEW)


@given(st.lists(candidates, max_size=8).flatmap(st.permutations))
def test_history_and_latest_do_not_depend_on_order(shuffled: list[Candidate]) -> None:
    here, there = decided(shuffled), decided(sorted(shuffled, key=lambda new: new[:3]))

    def facts(decision: Decision) -> set[tuple[Key, int, Value]]:
        return {(fact.key, fact.observed, fact.value) for fact in decision.facts}

    def latest(decision: Decision) -> dict[Key, tuple[int, Value]]:
        return {key: (mark.observed, mark.value) for key, mark in risen(decision).items()}

    assert facts(here) == facts(there)
    assert latest(here) == latest(there)


@given(batches, st.lists(candidates, max_size=12))
def test_inputs_are_not_changed(history: list[list[Candidate]], batch: list[Candidate]) -> None:
    model = Model()
    for new in (new for earlier in history for new in earlier):
        model.judge(new)
    marks, found = model.marks(), model.stored()
    kept = deepcopy((batch, marks, found))

    decide(batch, marks, found, SKEW)

    assert (batch, marks, found) == kept


def test_only_readings_that_are_no_newer_than_the_newest_are_looked_up() -> None:
    marks = {SPEED: Mark(5, 1.0, 1.0)}
    batch = [candidate(at, 1.0) for at in (4, 5, 6)] + [candidate(1, (1.0, 1.0), key=PLACE)]

    assert lookups(batch, marks) == {(*SPEED, 4), (*SPEED, 5)}


def test_drift_in_small_steps_becomes_significant() -> None:
    drift = [candidate(at, at * 0.6) for at in range(1, 7)]

    verdicts = decided(drift).verdicts

    assert verdicts == [ACCEPTED, UNCHANGED, ACCEPTED, UNCHANGED, ACCEPTED, UNCHANGED]


def test_drift_becomes_significant_also_when_each_step_is_a_batch_of_its_own() -> None:
    marks: dict[Key, Mark] = {}
    verdicts = []
    for at in range(1, 5):
        decision = decide([candidate(at, at * 0.6)], marks, {}, SKEW)
        marks |= risen(decision)
        verdicts += decision.verdicts

    assert verdicts == [ACCEPTED, UNCHANGED, ACCEPTED, UNCHANGED]


def test_value_at_the_edge_of_the_deadband_is_unchanged() -> None:
    assert decided([candidate(1, 0.0), candidate(2, 1.0)]).verdicts == [ACCEPTED, UNCHANGED]


def test_unchanged_value_is_a_fact_and_the_newest_one() -> None:
    decision = decided([candidate(1, 0.0), candidate(2, 0.5)])

    assert [fact.observed for fact in decision.facts] == [1, 2]
    assert decision.raised[SPEED] == Raised(decision.facts[1], significant=0.0)


def test_another_kind_of_value_is_significant() -> None:
    assert decided([candidate(1, 0.0), candidate(2, "0.0")]).verdicts == [ACCEPTED, ACCEPTED]


@pytest.mark.parametrize(
    ("loser", "winner"),
    [
        (1.0, 2.0),
        (-2.0, -1.0),
        (1e300, ""),
        ("Z", "a"),
        ("a", "ab"),
        ("z", "é"),
        ("\uffff", "\U00010000"),
        ("zzz", (-90.0, -180.0)),
        ((52.0, 5.0), (52.1, -5.0)),
        ((52.0, 5.0), (52.0, 5.1)),
    ],
)
def test_of_two_values_at_one_instant_the_same_wins_whichever_came_first(
    loser: Value, winner: Value
) -> None:
    for first, second in ((loser, winner), (winner, loser)):
        decision = decided([candidate(1, first), candidate(1, second)])

        assert decision.verdicts == [ACCEPTED, CONFLICT]
        assert decision.raised[SPEED].fact.value == winner
        assert {fact.value for fact in decision.facts} == {loser, winner}


def test_conflict_behind_the_newest_fact_changes_nothing_but_history() -> None:
    marks = {SPEED: Mark(5, 1.0, 1.0)}

    decision = decide([candidate(3, 9.0)], marks, {(*SPEED, 3): [8.0]}, SKEW)

    assert decision.verdicts == [CONFLICT]
    assert decision.raised == {}
    assert len(decision.facts) == 1


def test_newest_fact_counts_as_stored_though_retention_dropped_its_history() -> None:
    marks = {SPEED: Mark(5, 1.0, 1.0)}

    decision = decide([candidate(5, 1.0), candidate(5, 2.0)], marks, {}, SKEW)

    assert decision.verdicts == [DUPLICATE, CONFLICT]


def test_quarantine_is_for_each_reading_and_its_neighbours_go_on() -> None:
    batch = [candidate(1_004, 5.0), candidate(1_003, 1.0), candidate(1_004, 1.0, key=PLACE)]

    assert decided(batch).verdicts == [QUARANTINED, ACCEPTED, QUARANTINED]


def test_fact_from_the_future_is_a_duplicate_once_a_later_copy_was_admitted() -> None:
    early, later = candidate(2_000, 5.0, received=1_000), candidate(2_000, 5.0, received=2_000)

    assert decided([early, later, early]).verdicts == [QUARANTINED, ACCEPTED, DUPLICATE]


def test_other_value_from_the_future_is_quarantined_and_no_conflict() -> None:
    admitted = candidate(2_000, 5.0, received=2_000)
    early = candidate(2_000, 6.0, received=1_000)

    assert decided([admitted, early]).verdicts == [ACCEPTED, QUARANTINED]


def test_skew_is_allowed_to_the_microsecond() -> None:
    assert decided([candidate(1_003, 1.0)]).verdicts == [ACCEPTED]
    assert decided([candidate(1_004, 1.0)]).verdicts == [QUARANTINED]


def test_signals_and_assets_do_not_meet() -> None:
    batch = [candidate(5, 1.0), candidate(1, (1.0, 1.0), key=PLACE)]

    assert decided(batch).verdicts == [ACCEPTED, ACCEPTED]
