"""What one scrape of one process said, as numbers by series. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""

Series: TypeAlias = Mapping[tuple[str, Labels], float]

_STARTED = "process_start_time_seconds"


class NotMetrics(ValueError):
    """What was served is no Prometheus text."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The series of a process. `at` is when they were read, in seconds since 1970.

    `known` names the metrics that it has, also those without a series so far; a counter's without
    `_total`.
    """

    at: float
    series: Series = field(default_factory=dict)
    known: frozenset[str] = frozenset()

    @property
    def started(self) -> float | None:
        """When the process started, in seconds since 1970; None where it does not say."""
        return self.series.get((_STARTED, ()))


def parse(text: str, at: float) -> Reading:
    """Return the reading of a text in Prometheus' format. Raises NotMetrics."""
    try:
        families = list(text_string_to_metric_families(text))
    except (ValueError, KeyError, IndexError) as error:  # the parser raises what it stumbles over
        raise NotMetrics("what it serves is not in Prometheus' text format") from error
    known = frozenset(family.name.removesuffix("_total") for family in families)
    return Reading(at, dict(_series(families)), known)


def _series(families: Iterable[Metric]) -> Iterator[tuple[tuple[str, Labels], float]]:
    for family in families:
        for sample in family.samples:
            labels = tuple(sorted((name, _harmless(v)) for name, v in sample.labels.items()))
            yield (sample.name, labels), float(sample.value)


def _harmless(text: str) -> str:
    """Return a text that a terminal only shows: whoever writes a label could steer it otherwise."""
    return "".join(each if each.isprintable() else "�" for each in text)
