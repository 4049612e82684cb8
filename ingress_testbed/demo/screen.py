"""Where the demo speaks: a live view on a terminal, plain lines elsewhere."""

import re
import time
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live

from ingress_testbed.demo import view
from ingress_testbed.demo.samples import Samples

_LINE_EVERY_SECONDS = 3.0
_SVG_ID = "demo"
_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""A picture in a README may load no fonts; it falls back to the reader's own."""


class Screen:
    """Prints what stays, and shows what passes. A context manager: the view ends with it."""

    def __init__(self, *, to_stderr: bool) -> None:
        self._console = Console(stderr=to_stderr, highlight=False, markup=False, emoji=False)
        self._live: Live | None = None
        self._next_line = 0.0
        self._kept: list[RenderableType] = []
        self._at_work: RenderableType | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether somebody is watching."""
        return self._console.is_terminal

    def say(self, text: RenderableType, *, keep: bool = False) -> None:
        """Print `text` for good; `keep` it for the picture too. Plain strings are not wrapped."""
        self._console.print(text, soft_wrap=isinstance(text, str))
        if keep:
            self._kept.append(text)

    def show(self, samples: Samples, phase: str) -> None:
        """Show the newest sample: in place on a terminal, as a line now and then elsewhere."""
        rendered = view.render(samples, phase)
        if samples.last is not None and not samples.last.finished:
            self._at_work = rendered
        if self._live is not None:
            self._live.update(rendered, refresh=True)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY_SECONDS
            self._console.print(view.line(samples, phase), soft_wrap=True)

    def export_svg(self, path: Path) -> None:
        """Write the view as it last was at work, and what was kept, as a picture."""
        paper = Console(
            record=True,
            width=view.WIDTH,
            file=StringIO(),
            force_terminal=True,
            markup=False,
            emoji=False,
        )
        for part in (self._at_work, *self._kept):
            if part is not None:
                paper.print(part)
                paper.print()
        svg = paper.export_svg(title="make demo", unique_id=_SVG_ID)
        path.write_text(_FONT_FACE.sub("", svg), encoding="utf-8")

    def __enter__(self) -> Self:
        if self.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
