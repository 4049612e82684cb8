"""How the demo looks on a terminal: one sample and its rates as 80 columns of rich. Pure."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from ingress_testbed.demo.samples import Rates, Sample, Samples

WIDTH = 80
_NAME_WIDTH = 22
_COUNT_WIDTH = 12
_NOTE_WIDTH = 26
_BAR_WIDTH = 32
_SPARK = "▁▂▃▄▅▆▇█"
_SPARK_POINTS = 24
_STREAMS_SHOWN = 4
_ALWAYS_SHOWN = ("accepted", "unchanged", "stale", "duplicate")
_GOOD = ("accepted", "unchanged", "duplicate", "stale", "conflict", "empty")
_BYTES_A_MEGABYTE = 1_000_000


def render(samples: Samples, phase: str) -> RenderableType:
    """Return the whole view of the newest sample; `phase` says what the demo is doing."""
    sample = samples.last
    if sample is None:
        return Text(f"{phase} …", style="dim")
    rates = samples.rates()
    return Group(
        _head(sample, phase),
        ProgressBar(
            total=max(sample.expected, 1),
            completed=sample.settled,
            width=WIDTH,
            complete_style="cyan",
            finished_style="green",
        ),
        Text(),
        _hops(sample, rates),
        Text(),
        _outcomes(sample),
        Text(),
        _streams(sample),
        Rule(style="dim"),
        _foot(sample, samples.history(_SPARK_POINTS)),
    )


def line(samples: Samples, phase: str) -> str:
    """Return the newest sample as one plain line, for logs and pipes."""
    sample = samples.last
    if sample is None:
        return phase
    return (
        f"{clock(sample.at)}  {phase}: {sample.settled:,} of {sample.expected:,} settled, "
        f"{samples.rates().settled:,.0f}/s, journal {sample.pending:,}, "
        f"{'' if sample.waiting is None else f'topic {sample.waiting:,}, '}"
        f"lag {lag(sample.lag_seconds)}, unaccounted {sample.unaccounted:,}"
    )


def clock(seconds: float) -> str:
    """Return `seconds` as minutes and seconds: 01:07."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}"


def lag(seconds: float | None) -> str:
    """Return a delay for people: 40 ms, 1.2 s, 3 min; a dash where there is none yet."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 — where minutes read better


def size(count: float) -> str:
    """Return bytes for people: 12 kB, 1.4 MB."""
    if count < _BYTES_A_MEGABYTE:
        return f"{count / 1000:.0f} kB"
    return f"{count / _BYTES_A_MEGABYTE:,.1f} MB"


def _grid(*widths: int) -> Table:
    """Return a table whose columns keep their width; a negative one is justified to the right."""
    table = Table.grid(padding=(0, 2))
    for width in widths:
        table.add_column(
            justify="right" if width < 0 else "left", no_wrap=True, min_width=abs(width)
        )
    return table


def _titles(*names: str) -> list[Text]:
    return [Text(name, style="dim") for name in names]


def _head(sample: Sample, phase: str) -> RenderableType:
    done = sample.settled / sample.expected if sample.expected else 0.0
    head = Table.grid(expand=False)
    head.add_column(width=WIDTH // 2)
    head.add_column(width=WIDTH - WIDTH // 2, justify="right")
    head.add_row(
        Text.assemble(("telematics-ingress", "bold"), ("  " + phase, "dim")),
        Text.assemble(
            (f"{min(done, 1):.0%}", "bold"),
            f" of {sample.expected:,} frames  ",
            (clock(sample.at), "bold"),
        ),
    )
    return head


def _hops(sample: Sample, rates: Rates) -> RenderableType:
    table = _grid(_NAME_WIDTH, -_COUNT_WIDTH, -_COUNT_WIDTH, _NOTE_WIDTH)
    table.add_row(*_titles("hop", "frames", "a second", ""))
    journal = f"{sample.pending:,} in the journal, {size(sample.journal_bytes)}"
    rows = [
        ("provider    sent", sample.sent, rates.sent, ""),
        ("publisher   journalled", sample.journalled, rates.journalled, journal),
        ("core        settled", sample.settled, rates.settled, f"lag {lag(sample.lag_seconds)}"),
    ]
    if sample.waiting is not None:
        ahead = f"{sample.waiting:,} not yet in core"
        rows.insert(2, ("Kafka       written", sample.acknowledged, rates.acknowledged, ahead))
    for name, count, rate, note in rows:
        table.add_row(name, Text(f"{count:,}", style="bold"), f"{rate:,.0f}", note)
    return table


def _outcomes(sample: Sample) -> RenderableType:
    table = _grid(_NAME_WIDTH, -_COUNT_WIDTH, _BAR_WIDTH)
    table.add_row(*_titles("outcome", "messages", ""))
    most = max([*sample.outcomes.values(), 1])
    for name, count in sample.outcomes.items():
        if not count and name not in _ALWAYS_SHOWN:
            continue
        style = "green" if name in _GOOD else "yellow"
        bar = "█" * max(round(_BAR_WIDTH * count / most), 1 if count else 0)
        table.add_row(name, f"{count:,}", Text(bar, style=style))
    return table


def _streams(sample: Sample) -> RenderableType:
    table = _grid(_NAME_WIDTH, -_COUNT_WIDTH, -_COUNT_WIDTH, -_COUNT_WIDTH, 0)
    table.add_row(*_titles("stream of", "sent", "journalled", "acknowledged", ""))
    for stream in sample.streams[:_STREAMS_SHOWN]:
        counts = (stream.sent, stream.journalled, stream.acknowledged)
        state = "all sent" if stream.finished else "streaming"
        table.add_row(stream.publisher, *(f"{count:,}" for count in counts), state)
    hidden = len(sample.streams) - _STREAMS_SHOWN
    if hidden > 0:
        table.add_row(Text(f"and {hidden} more", style="dim"))
    return table


def _foot(sample: Sample, history: Sequence[float]) -> RenderableType:
    style = "green" if not sample.unaccounted else "bold red"
    foot = Table.grid(expand=False)
    foot.add_column(width=WIDTH // 2)
    foot.add_column(width=WIDTH - WIDTH // 2, justify="right")
    foot.add_row(
        Text.assemble(
            f"in flight {sample.in_flight:,}   ",
            ("unaccounted ", style),
            (f"{sample.unaccounted:,}", style),
        ),
        Text.assemble((spark(history), "cyan"), ("  settled/s", "dim")),
    )
    return foot


def spark(values: Sequence[float]) -> str:
    """Return one block a value, the greatest full height."""
    top = max([*values, 1.0])
    return "".join(_SPARK[min(int(value / top * (len(_SPARK) - 1) + 0.5), 7)] for value in values)
