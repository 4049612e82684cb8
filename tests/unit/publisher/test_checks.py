import pytest

from core_api.keys import generate
from telematics_publisher.checks import keys
from telematics_publisher.checks.core import ahead, remaining


@pytest.mark.parametrize(
    ("before", "after", "date", "expected"),
    [
        (100.0, 100.1, 100.0, 0.0),
        (100.9, 101.2, 100.0, 0.0),  # Date has whole seconds: within its second, all is well
        (99.5, 100.2, 100.0, 0.0),
        (107.0, 107.1, 100.0, 6.0),
        (93.0, 93.5, 100.0, -6.5),
    ],
)
def test_a_date_in_whole_seconds_tells_how_far_a_clock_is_off_at_least(
    before: float, after: float, date: float, expected: float
) -> None:
    assert ahead(before, after, date) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0 min"),
        (59, "0 min"),
        (7_199, "119 min"),
        (7_200, "2 h"),
        (86_399, "23 h"),
        (172_799, "47 h"),
        (604_800, "7 days"),
    ],
)
def test_what_remains_is_told_in_the_unit_one_plans_with(seconds: float, shown: str) -> None:
    assert remaining(seconds) == shown


KEY = generate()


def test_a_key_of_cores_own_make_has_no_flaw_and_its_id_is_told() -> None:
    for made in (KEY, *(generate() for _ in range(50))):
        assert keys.flaw(made.text) is None
        assert keys.id_of(made.text) == made.id


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        (f"key: {KEY.text}", "leave away what is before it"),
        (f'"{KEY.text}"', "leave away what is before it"),
        (f"{KEY.text} (of acme)", "leave away what is behind it"),
        (KEY.text[:40], "it has 40 of a key's 63 characters"),
        (f"{KEY.text}x", "it has 64 characters, and a key has 63"),
        (KEY.text[:30] + " " + KEY.text[31:], "there are spaces in it"),
        (KEY.text.upper(), "it does not begin with `ik_`"),
        ("simulated", "it does not begin with `ik_`"),
        (KEY.text[:-1] + "!", "no key has such characters"),
    ],
    ids=[
        "labelled",
        "quoted",
        "explained",
        "cut",
        "longer",
        "spaced",
        "capitals",
        "another",
        "odd",
    ],  # no key in a name
)
def test_what_is_no_key_is_told_without_showing_it(text: str, flaw: str) -> None:
    found = keys.flaw(text)
    assert found is not None
    assert flaw in found
    assert KEY.text[-10:] not in found
    assert keys.id_of(text) is None
