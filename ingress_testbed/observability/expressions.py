"""Expressions in PromQL that the dashboards have in common.

Nobody's job or instance is named: what is measured is summed up over all processes. Gauges that each
process reads from the same database are not: of those the greatest is taken.
"""

from collections.abc import Sequence

RANGE = "[$__rate_interval]"
"""Grafana's: at least four scrapes, and no less than one point of the plot."""


def rate(metric: str, *by: str, where: str = "") -> str:
    """Return the increase of a counter within a second, summed up `by` labels."""
    return f"sum{_by(by)} (rate({metric}{_where(where)}{RANGE}))"


def gained(metric: str, *by: str, where: str = "") -> str:
    """Return the increase of a counter within the interval of a point, summed up `by` labels."""
    return f"sum{_by(by)} (increase({metric}{_where(where)}{RANGE}))"


def total(metric: str, *by: str, where: str = "") -> str:
    """Return a gauge of which each process has a share of its own, summed up `by` labels."""
    return f"sum{_by(by)} ({metric}{_where(where)})"


def greatest(metric: str, *by: str, where: str = "") -> str:
    """Return a gauge that every process knows whole, or the worst of several, `by` labels."""
    return f"max{_by(by)} ({metric}{_where(where)})"


def quantile(part: float, histogram: str, *by: str, where: str = "") -> str:
    """Return the value that `part` of a histogram's observations do not exceed, `by` labels."""
    return f"histogram_quantile({part}, {rate(f'{histogram}_bucket', 'le', *by, where=where)})"


def mean(histogram: str, *by: str, where: str = "") -> str:
    """Return the mean of a histogram's observations, `by` labels."""
    return (
        f"{rate(f'{histogram}_sum', *by, where=where)}"
        f" / {rate(f'{histogram}_count', *by, where=where)}"
    )


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def _where(matchers: str) -> str:
    return f"{{{matchers}}}" if matchers else ""
