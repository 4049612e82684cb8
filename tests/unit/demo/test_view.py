from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from ingress_testbed.demo import view
from ingress_testbed.demo.samples import Sample, Samples


def drawn(samples: Samples) -> list[str]:
    console = Console(file=StringIO(), width=view.WIDTH)
    console.print(view.render(samples, "replaying"))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def test_rates_are_those_of_the_last_seconds(make_sample: Callable[..., Sample]) -> None:
    samples = Samples()
    for at, settled in ((0.0, 0), (100.0, 1_000), (102.0, 1_500)):
        samples.add(make_sample(at=at, settled=settled, sent=settled))

    assert samples.rates().settled == 250
    assert samples.rates().sent == 250


def test_one_sample_has_no_rates(make_sample: Callable[..., Sample]) -> None:
    samples = Samples()
    samples.add(make_sample())

    assert samples.rates().settled == 0


def test_view_fits_eighty_columns_however_great_the_numbers(
    make_sample: Callable[..., Sample],
) -> None:
    samples = Samples()
    great = 123_456_789
    for at in (0.0, 1.0):
        samples.add(
            make_sample(
                at=at,
                expected=great,
                settled=int(great * at),
                sent=great,
                journalled=great,
                acknowledged=great,
                pending=great,
                journal_bytes=great * 100,
                outcomes={"accepted": great, "dead_lettered": great},
                in_flight=great,
                waiting=great,
            )
        )

    lines = drawn(samples)

    assert max(map(len, lines)) <= view.WIDTH
    assert not any("…" in line for line in lines)
    assert len(lines) < 24


def test_bad_outcomes_are_shown_when_there_are_any(make_sample: Callable[..., Sample]) -> None:
    samples = Samples()
    samples.add(make_sample())
    assert not any("dead_lettered" in line for line in drawn(samples))

    samples.add(make_sample(outcomes={"accepted": 99, "dead_lettered": 1}))

    assert any(line.startswith("dead_lettered") for line in drawn(samples))


def test_line_tells_everything_that_a_log_needs(make_sample: Callable[..., Sample]) -> None:
    samples = Samples()
    samples.add(make_sample(at=67.0, pending=3, unaccounted=0))

    assert view.line(samples, "replaying") == (
        "01:07  replaying: 100 of 100 settled, 0/s, journal 3, lag 50 ms, unaccounted 0"
    )


def test_topic_is_a_hop_where_there_is_one(make_sample: Callable[..., Sample]) -> None:
    samples = Samples()
    samples.add(make_sample(waiting=1_234))

    (hop,) = (text for text in drawn(samples) if text.startswith("Kafka"))
    assert hop.split() == ["Kafka", "written", "102", "0", "1,234", "not", "yet", "in", "core"]
    assert "topic 1,234" in view.line(samples, "replaying")


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "-"), (0.04, "40 ms"), (1.25, "1.2 s"), (180.0, "3 min")]
)
def test_lag_is_said_in_the_unit_that_fits(seconds: float | None, said: str) -> None:
    assert view.lag(seconds) == said


@pytest.mark.parametrize(("count", "said"), [(20_480, "20 kB"), (1_400_000, "1.4 MB")])
def test_size_is_said_in_the_unit_that_fits(count: int, said: str) -> None:
    assert view.size(count) == said
