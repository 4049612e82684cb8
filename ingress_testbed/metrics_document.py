"""Every metric that the rooms define, read from the definitions themselves."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from prometheus_client import REGISTRY, Metric
from prometheus_client.metrics import Enum, Histogram, MetricWrapperBase

from ingress_testbed.rooms import ROOMS, modules, room_of

_ENDINGS: Mapping[str, str] = {"counter": "_total", "info": "_info"}
_KINDS: Mapping[str, str] = {"stateset": "gauge", "info": "gauge"}

UNITS = frozenset(
    {
        "attempts",
        "barriers",
        "batches",
        "bytes",
        "checkpoints",
        "connections",
        "envelopes",
        "errors",
        "failovers",
        "failures",
        "frames",
        "journals",
        "letters",
        "messages",
        "numbers",
        "probes",
        "producers",
        "records",
        "requests",
        "resets",
        "retries",
        "rows",
        "seconds",
        "senders",
        "spans",
        "streams",
        "transactions",
    }
)
"""The nouns that a metric may count or measure."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric: its name as scraped (a histogram's without `_bucket`, `_sum`, `_count`).

    `kind` is counter, gauge or histogram, as Prometheus sees it. `unit` is the last of UNITS in the
    name (`seconds`, `bytes`, `records`), empty for a state or an information. `buckets` are a histogram's
    upper bounds without infinity. `values` holds, for labels initialised by the definition, the
    values they have from the start.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    unit: str
    text: str
    room: str
    buckets: tuple[float, ...] = ()
    module: str = ""
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def definitions() -> list[Definition]:
    """Return every metric of every room, in the rooms' order, then by name.

    All modules are imported, so a metric needs no registration here. One of a library's, or of a
    test's, is left out: ours are those whose name and description stand together in a call in a
    module of a room.
    """
    places = _places()
    collectors: Mapping[str, Any] = REGISTRY._names_to_collectors  # noqa: SLF001 — the only list
    found = [
        _definition(collector, metric, place)
        for collector in dict.fromkeys(collectors.values())
        for metric in _described(collector)
        if (place := _place(metric, places)) is not None
    ]
    return sorted(found, key=lambda one: (ROOMS.index(one.room), one.name))


def _described(collector: Any) -> Iterable[Metric]:
    metrics: Iterable[Metric] = getattr(collector, "describe", collector.collect)()
    return metrics


def _definition(collector: Any, metric: Metric, module: str) -> Definition:
    own = collector if isinstance(collector, MetricWrapperBase) else None
    labels = tuple(own._labelnames if own else getattr(metric, "_labelnames", ()))  # noqa: SLF001
    values = _values(labels, collector)
    if isinstance(own, Enum):
        labels = (*labels, metric.name)
        values[metric.name] = tuple(own._states)  # noqa: SLF001 — as the samples of Enum have it
    buckets = tuple(own._upper_bounds[:-1]) if isinstance(own, Histogram) else ()  # noqa: SLF001
    return Definition(
        name=metric.name + _ENDINGS.get(metric.type, ""),
        kind=_KINDS.get(metric.type, metric.type),
        labels=labels,
        unit="" if metric.type in _KINDS else _unit(metric.name),
        text=metric.documentation,
        room=room_of(module),
        buckets=buckets,
        module=module,
        values=values,
    )


def _unit(name: str) -> str:
    """Return the last unit in `name`: words may follow that tell which of them, such as `limit`."""
    return next((word for word in reversed(name.split("_")) if word in UNITS), "")


def _values(labels: tuple[str, ...], collector: Any) -> dict[str, tuple[str, ...]]:
    samples = [sample.labels for metric in collector.collect() for sample in metric.samples]
    return {
        label: tuple(dict.fromkeys(each[label] for each in samples)) for label in labels if samples
    }


def _place(metric: Metric, places: Mapping[tuple[str, str], str]) -> str | None:
    """Return the module that defines `metric`, None if no room does."""
    for ending in ("", _ENDINGS.get(metric.type, "")):
        if (place := places.get((metric.name + ending, metric.documentation))) is not None:
            return place
    return None


def _places() -> Mapping[tuple[str, str], str]:
    """Return the modules of the rooms by (name, text) of what might be a metric's definition."""
    return {each: module.__name__ for module in modules() for each in _named(module)}


def _named(module: ModuleType) -> Iterator[tuple[str, str]]:
    return iter(_calls(Path(module.__file__ or "")))


@cache
def _calls(path: Path) -> tuple[tuple[str, str], ...]:
    """Return the first two texts of every call in the file that has so many."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            texts = [one.value for one in given if isinstance(one, ast.Constant)]
            match texts:
                case [str() as name, str() as text, *_]:
                    found.append((name, text))
                case _:
                    pass
    return tuple(found)
