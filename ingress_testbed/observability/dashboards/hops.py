"""Lag by hop: where do messages wait, and whose fault is it."""

from ingress_testbed.observability.composition import Composition, Row
from ingress_testbed.observability.dashboards import waiting
from ingress_testbed.observability.expressions import mean, quantile
from ingress_testbed.observability.panels import (
    HOPS,
    WAYS,
    Bounds,
    Panel,
    Query,
    lines,
    number,
    prose,
    states,
)

_HOP = "core_ingest_hop_seconds"
_OURS = 'hop!="provider"'

_GUIDE = """
| hop | from → to | if it is the slow one | then look at |
|---|---|---|---|
| **provider** | the reading's time → its receipt at the edge | the provider sends late, or a clock is wrong | *Publisher and streams*: frames, silence |
| **publisher** | receipt → sent | the edge cannot send: its way to core is closed, or its window is full | the row *Why it waits*; *Publisher and streams*: sending |
| **transport** | sent → at core's door | over Kafka the consumer is down, held or behind; over HTTP the network | *Consumer and topic* |
| **core** | at the door → committed | the database is slow, or core is too small | *Database* |

Hops are measured on messages that **were stored**. What stands still shows in *What waits now*, and in a
hop only once it moves again.
"""

_WHOSE = {
    "provider": (
        "From the time of a reading, by the provider's clock, to its receipt at the edge; the median. "
        "Most of it is the provider's own delay: when it rises, it is not our fault. A jump to "
        "hours is a clock, or a provider that sends its backlog."
    ),
    "publisher": (
        "From the receipt at the edge to the attempt that reached core; one message in a hundred takes "
        "longer. When it rises, the publisher could not send: its way to core is away, or it is behind."
    ),
    "transport": (
        "From the sending to the arrival at core's door; one message in a hundred takes longer. Over "
        "Kafka that is the time in the topic: when it rises, the consumer is down, held or too slow."
    ),
    "core": (
        "From the arrival at core's door to the commit; one message in a hundred takes longer. When it "
        "rises, the database is slow, or core has more to do than it can."
    ),
}


def dashboard() -> Composition:
    """Return the dashboard."""
    return Composition(
        "ingress-hops",
        "Lag by hop",
        "Where messages wait, and whose fault it is: provider, publisher, transport or core.",
        [
            Row("Which hop is slow", _now()),
            Row("What waits now", [waiting.how_many(), waiting.how_old()]),
            Row("Why it waits", _why()),
            Row("The hops over time", _over_time()),
            Row("One provider or all, one way or both", _apart()),
        ],
    )


def _now() -> list[Panel]:
    return [
        _hop("provider", 0.5, Bounds(30, 60)),
        _hop("publisher", 0.99, Bounds(1, 5)),
        _hop("transport", 0.99, Bounds(1, 5)),
        _hop("core", 0.99, Bounds(1, 5)),
        waiting.oldest(4),
        number(
            "Slowest of our hops",
            "The hop of ours (publisher, transport or core) at which the median of messages lost most "
            "time. Below a second there is nothing to look for.",
            "s",
            Query(f"topk(1, {quantile(0.5, _HOP, 'hop', where=_OURS)})", "{{hop}}"),
            Bounds(1, 5),
            named=True,
        ),
        prose(
            "How to read this",
            "What each hop is, whose it is, and where to look next. Start with the hop that is not green.",
            _GUIDE,
        ),
    ]


def _hop(name: str, part: float, bounds: Bounds) -> Panel:
    places = {"provider": 1, "publisher": 2, "transport": 3, "core": 4}
    quantile_name = "median" if part == 0.5 else "p99"  # noqa: PLR2004 — the median it is
    return number(
        f"{places[name]} {name}, {quantile_name}",
        _WHOSE[name],
        "s",
        Query(quantile(part, _HOP, where=f'hop="{name}"')),
        bounds,
    )


def _why() -> list[Panel]:
    return [
        waiting.pressure(),
        waiting.by_door(),
        waiting.way(),
        states(
            "The consumer",
            "What the consumer does: `flowing`, or why its partitions are held. `slow`: the database "
            "takes long, and no more is read meanwhile. `retry`: it refuses. `breaker`: nearly all is "
            "rejected, and a person must decide.",
            Query("max by (core_consumer_state) (core_consumer_state)", "{{core_consumer_state}}"),
            good=["flowing"],
        ),
    ]


def _over_time() -> list[Panel]:
    return [
        lines(
            "Median by hop",
            "Half of the messages took longer than this at each hop. The one that rises is where "
            "messages wait; the others stay as they are.",
            "s",
            Query(quantile(0.5, _HOP, "hop"), "{{hop}}"),
            colours=HOPS,
            far_apart=True,
            width=8,
        ),
        lines(
            "p99 by hop",
            "One message in a hundred took longer than this at each hop. A few that wait long, as after "
            "a restart, show here and not in the median.",
            "s",
            Query(quantile(0.99, _HOP, "hop"), "{{hop}}"),
            colours=HOPS,
            far_apart=True,
            width=8,
        ),
        lines(
            "Where a message's time with us goes, on average",
            "Mean time at each of our hops, one on top of the other: the height is the mean delivery. "
            "The thickest layer is the hop to improve. The provider's own delay is left out.",
            "s",
            Query(mean(_HOP, "hop", where=_OURS), "{{hop}}"),
            colours=HOPS,
            stacked=True,
            width=8,
        ),
    ]


def _apart() -> list[Panel]:
    return [
        lines(
            "Delivery by door, p99",
            "From the receipt at the edge to the commit, by the door that the messages took. If only one "
            "of them is slow, the trouble is on that way; if both are, it is at the edge or in core.",
            "s",
            Query(quantile(0.99, "core_ingest_delivery_seconds", "door"), "{{door}}"),
            colours=WAYS,
            bounds=Bounds(None, 10),
            width=8,
        ),
        lines(
            "Transport by door, median",
            "From the sending to core's door, by door. For `kafka` it is the time in the topic, for "
            "`http` that on the network.",
            "s",
            Query(quantile(0.5, _HOP, "door", where='hop="transport"'), "{{door}}"),
            colours=WAYS,
            width=8,
        ),
        lines(
            "Provider's delay by provider, median",
            "From the time of a reading to its receipt at the edge, by provider. One provider that is "
            "late alone: its trouble. All at once: the edge, or its clock.",
            "s",
            Query(quantile(0.5, _HOP, "provider", where='hop="provider"'), "{{provider}}"),
            colours={},
            width=8,
        ),
    ]
