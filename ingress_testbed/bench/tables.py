"""What was found, for people: medians, and ratios to a baseline of the same round."""

from collections.abc import Mapping, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from ingress_testbed.bench.measure import Measurement

_WIDTH = 140

Found = Mapping[str, Sequence[Measurement]]


def show(title: str, found: Found, baselines: Sequence[str], unit: str = "rows") -> None:
    """Print a line for each contender; ratios to each of `baselines`, with their range."""
    stores = any(one.wal_bytes_per_row for several in found.values() for one in several)
    headings = ["", f"{unit}/s", *(f"of {baseline}" for baseline in baselines)]
    headings += ["WAL bytes/row", "disk bytes/row"] if stores else []
    table = Table(title=title)
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, measurements in found.items():
        cells = [name, f"{median(one.rate for one in measurements):,.0f}"]
        cells += [
            "" if name == baseline else _ratio(ratios_of(measurements, found[baseline]))
            for baseline in baselines
        ]
        if stores:
            cells += [_bytes([one.wal_bytes_per_row for one in measurements])]
            cells += [_bytes([one.disk_bytes_per_row for one in measurements])]
        table.add_row(*cells)
    Console(width=_WIDTH).print(table)


def ratios_of(several: Sequence[Measurement], base: Sequence[Measurement]) -> list[float]:
    """Return the ratios of rates, round by round."""
    return [one.rate / other.rate for one, other in zip(several, base, strict=True)]


def _ratio(several: Sequence[float]) -> str:
    middle, least, most = (_short(each) for each in (median(several), min(several), max(several)))
    return f"{middle} ({least} to {most})"


def _short(ratio: float) -> str:
    return f"{ratio:.3f}" if ratio < 10 else f"{ratio:.1f}"  # noqa: PLR2004 — three digits or so


def _bytes(several: Sequence[float | None]) -> str:
    known = [one for one in several if one is not None]
    return f"{median(known):.0f}" if known else ""
