"""The five dashboards, a module each, in the order in which one looks."""

from ingress_testbed.observability.composition import Composition
from ingress_testbed.observability.dashboards import consumer, database, hops, overview, publisher


def dashboards() -> list[Composition]:
    """Return all dashboards, made anew."""
    return [
        overview.dashboard(),
        hops.dashboard(),
        consumer.dashboard(),
        publisher.dashboard(),
        database.dashboard(),
    ]
