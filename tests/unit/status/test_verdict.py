import pytest

from ingress_runtime.status.section import Cause, Level, Symptom, Waiting
from ingress_runtime.status.verdict import Memory, Verdict, verdict

AWAY = Cause(
    "breaker",
    "in the publisher",
    "Kafka is away (breaker open{since}), traffic goes over HTTP",
    Level.NOTICE,
)
LATE = Waiting("in the publisher", "412 records, the oldest for 14 s")
SLOW = Waiting("in the publisher", "median 2 s at this hop")
SHUT = Cause("database", "in core", "the database is away{since}")


@pytest.mark.parametrize(
    ("symptoms", "level", "words"),
    [
        ([], Level.WELL, "All flows."),
        (
            [AWAY],
            Level.NOTICE,
            "Kafka is away (breaker open), traffic goes over HTTP.",
        ),
        (
            [LATE],
            Level.BAD,
            "Messages wait in the publisher (412 records, the oldest for 14 s).",
        ),
        (
            [AWAY, LATE],
            Level.BAD,
            (
                "Messages wait in the publisher (412 records, the oldest for 14 s): "
                "Kafka is away (breaker open), traffic goes over HTTP."
            ),
        ),
        (
            [LATE, SLOW, LATE],
            Level.BAD,
            (
                "Messages wait in the publisher (412 records, the oldest for 14 s; median 2 s at this "
                "hop)."
            ),
        ),
        (
            [AWAY, SHUT],
            Level.BAD,
            "The database is away. Kafka is away (breaker open), traffic goes over HTTP.",
        ),
    ],
)
def test_symptoms_become_sentences_the_worst_first(
    symptoms: list[Symptom], level: Level, words: str
) -> None:
    found = verdict(symptoms)
    assert (found.level, found.words) == (level, words)


def test_who_is_not_seen_is_said() -> None:
    assert verdict([], unseen=["the api at a:1"]) == Verdict(
        Level.NOTICE, ("All flows, as far as is seen: the api at a:1 does not answer.",)
    )
    found = verdict([AWAY], unseen=["the api at a:1", "the consumer at b:2"])
    assert found.sentences[-1] == "Not seen: the api at a:1 and the consumer at b:2 do not answer."


def test_without_an_answer_nothing_is_known() -> None:
    found = verdict([], unseen=["the api at a:1"], answered=False)
    assert (found.level, found.words) == (Level.BAD, "No process answers: nothing is known.")


def test_a_cause_says_for_how_long_it_was_seen_without_a_gap() -> None:
    memory = Memory()
    assert memory.lasting([AWAY], 100.0) == {"breaker": 0.0}
    assert memory.lasting([AWAY, LATE, SHUT], 114.0) == {"breaker": 14.0, "database": 0.0}
    lasting = memory.lasting([AWAY], 116.0)
    assert verdict([AWAY], lasting=lasting).words == (
        "Kafka is away (breaker open for at least 16 s), traffic goes over HTTP."
    )
    assert memory.lasting([], 118.0) == {}
    assert memory.lasting([AWAY], 120.0) == {"breaker": 0.0}
