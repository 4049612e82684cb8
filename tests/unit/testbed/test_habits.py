from random import Random

import pytest
from click.testing import CliRunner

from ingress_testbed.commands import simulator
from ingress_testbed.simulator.habits import (
    EXPLANATIONS,
    BadHabit,
    Habit,
    Habits,
    Occasion,
    read_habits,
    source_name,
)


def numbers(occasion: Occasion, upto: int) -> list[int]:
    dice = Random(1)
    return [number for number in range(1, upto + 1) if occasion.comes(number, dice)]


def test_an_occasion_is_a_frame_or_every_so_many_so_often_or_a_chance() -> None:
    habits = read_habits(["drop=5", "future=3x2", "cut=0.25", "past=1.0"]).occasions
    assert numbers(habits[Habit.DROP], 20) == [5]
    assert numbers(habits[Habit.FUTURE], 20) == [3, 6]
    assert 200 < len(numbers(habits[Habit.CUT], 1_000)) < 300
    assert numbers(habits[Habit.PAST], 3) == [1, 2, 3]


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        (["dorp=5"], "no habit 'dorp': choose one of drop,"),
        (["drop=5", "drop=6"], "given twice"),
        (["drop"], "drop= is no occasion"),
        (["drop=0"], "is no occasion"),
        (["drop=0.0"], "is no occasion"),
        (["drop=1.5"], "above 0, up to 1.0"),
        (["drop=-3"], "is no occasion"),
        (["drop=5x"], "is no occasion"),
        (["drop=5x0"], "is no occasion"),
        (["drop=nan"], "is no occasion"),
        (["drop=often"], "such as 500x3"),
    ],
)
def test_what_is_no_habit_is_refused_with_what_to_write_instead(
    texts: list[str], complaint: str
) -> None:
    with pytest.raises(BadHabit) as refused:
        read_habits(texts)
    assert complaint in str(refused.value)


def test_equal_seed_source_and_number_make_equal_mischief() -> None:
    def chosen(seed: int, source: str) -> list[tuple[list[Habit], float]]:
        habits = read_habits(["drop=0.2", "cut=0.3"], seed)
        on = [habits.on(number, source) for number in range(1, 200)]
        return [(found, dice.random()) for found, dice in on]

    assert chosen(1, "a") == chosen(1, "a")
    assert chosen(1, "a") != chosen(2, "a")
    assert chosen(1, "a") != chosen(1, "b")


def test_greetings_are_counted_by_subscriptions_and_the_others_by_frames() -> None:
    habits = read_habits(["no-data=1", "drop=1"])
    assert habits.on(1, "key", greeting=True)[0] == [Habit.NO_DATA]
    assert habits.on(1, "key")[0] == [Habit.DROP]


def test_a_source_is_a_key_and_a_set_of_vehicles() -> None:
    assert source_name("key-1", ["a", "b"]) == source_name("key-1", ["b", "a"])
    assert len({source_name(*one) for one in [("k", "ab"), ("k", "a"), ("l", "ab")]}) == 3


def test_no_habits_are_none() -> None:
    assert read_habits([]) == Habits()
    assert Habits().on(1, "key")[0] == []


def test_the_help_explains_every_habit() -> None:
    shown = CliRunner().invoke(simulator, ["--help"]).output
    assert set(EXPLANATIONS) == set(Habit)
    for habit, explanation in EXPLANATIONS.items():
        assert f"{habit} " in shown
        assert explanation in shown


def test_the_command_refuses_an_unknown_habit() -> None:
    done = CliRunner().invoke(simulator, ["--replay", "day.jsonl", "--habit", "sloth=1"])
    assert done.exit_code == 2
    assert "there is no habit 'sloth'" in done.output
