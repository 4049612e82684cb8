"""Recordings: what vehicles sent, as frames in the order of their time.

Two formats, told apart by the file's name, gzipped if it ends in `.gz`:

- `.jsonl`: one ViriCiti payload a line, `{"vid", "label", "value", "time"}`, time in epoch
  milliseconds, never falling. This is what `ingress fleet record` writes.
- `.csv`: the route recording. The column `time` holds epoch milliseconds, every other column is a
  label; a blank cell sends nothing, a row without a time sends nothing. All of it is one vehicle.

Files are read as a stream: a recording may be larger than the memory.
"""

import csv
import gzip
import io
import json
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import click

CSV_VEHICLE = "route-bus"
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


class RecordingError(click.ClickException):
    """A recording cannot be read; the message names file, line and remedy."""


class Frame(NamedTuple):
    """One datapoint. `value` is JSON text with the digits as recorded, `time` is in epoch ms."""

    vid: str
    label: str
    value: str
    time: int

    def payload(self) -> str:
        """Return the payload of the provider's frame, as compact JSON."""
        vid, label, value, time = self
        return f'{{"vid":{_quoted(vid)},"label":{_quoted(label)},"value":{value},"time":{time}}}'


class Extent(NamedTuple):
    """How much a recording holds; times in epoch ms, 0 where there are no frames."""

    frames: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Recording:
    """A file of frames, each time moved by `shift` ms."""

    path: Path
    shift: int = 0

    def frames(self) -> Generator[Frame, None, None]:
        """Yield the frames in the order of their time. Raises RecordingError."""
        shift = self.shift
        for frame in _frames(self.path):
            yield frame._replace(time=frame.time + shift) if shift else frame

    def extent(self) -> Extent:
        """Read the file once and measure it. Raises RecordingError."""
        count, first, last = 0, 0, 0
        for frame in self.frames():
            if count == 0:
                first = frame.time
            last = frame.time
            count += 1
        return Extent(count, first, last)

    def moved(self, shift: int) -> "Recording":
        """Return the recording with all times moved by another `shift` ms."""
        return replace(self, shift=self.shift + shift)


def open_recording(path: Path) -> Recording:
    """Return the recording at `path`. Raises RecordingError if the file is not there."""
    if not path.is_file():
        raise RecordingError(
            f"there is no recording at {path}: name a .jsonl, .jsonl.gz or .csv file, "
            "or make one with `ingress fleet record`"
        )
    if _format(path) not in {".jsonl", ".csv"}:
        raise RecordingError(f"{path} is no recording: its name must end in .jsonl, .csv, or .gz")
    return Recording(path)


def write_recording(path: Path, frames: Iterable[Frame]) -> None:
    """Write `frames` to `path` (.jsonl or .jsonl.gz); the same frames give the same bytes.

    The file appears when it is whole. Raises RecordingError.
    """
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise RecordingError(f"{path}: the name of a recording must end in .jsonl or .jsonl.gz")
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as raw, _packed(path, raw) as file:
            for frame in frames:
                file.write(frame.payload().encode() + b"\n")
        unfinished.replace(path)
    except OSError as error:
        raise RecordingError(f"{path} cannot be written: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _packed(path: Path, raw: BinaryIO) -> Iterator[BinaryIO | gzip.GzipFile]:
    if path.suffix != ".gz":
        yield raw
        return
    with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as packed:
        yield packed


@lru_cache(maxsize=65_536)
def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _format(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix == ".gz" else path.suffix


def _frames(path: Path) -> Iterator[Frame]:
    read = _read_csv if _format(path) == ".csv" else _read_jsonl
    previous = None
    with _opened(path) as file:
        for line, frame in read(path, file):
            if previous is not None and frame.time < previous:
                raise _unreadable(path, line, "its time is before the one of the frame above")
            previous = frame.time
            yield frame


@contextmanager
def _opened(path: Path) -> Iterator[io.TextIOWrapper]:
    try:
        with path.open("rb") as raw:
            source = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            with io.TextIOWrapper(source, encoding="utf-8", newline="") as text:
                yield text
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error


class _Digits(str):
    """A JSON number as it is written."""

    __slots__ = ()


_decode = json.JSONDecoder(parse_float=_Digits, parse_int=_Digits, parse_constant=_Digits).decode


def _read_jsonl(path: Path, file: io.TextIOWrapper) -> Iterator[tuple[int, Frame]]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            yield number, _of_payload(_decode(line))
        except (ValueError, TypeError, KeyError) as error:
            raise _unreadable(path, number, f"it is no ViriCiti payload ({error!r})") from error


def _of_payload(payload: dict[str, Any]) -> Frame:
    value, time = payload["value"], payload["time"]
    text = value if type(value) is _Digits else json.dumps(value, ensure_ascii=False)
    if type(time) is not _Digits:
        raise TypeError("time must be a number")
    return Frame(payload["vid"], payload["label"], text, int(time))


def _read_csv(path: Path, file: io.TextIOWrapper) -> Iterator[tuple[int, Frame]]:
    rows = csv.DictReader(file)
    for row in rows:
        time = row.pop("time", None)
        if not time:
            continue
        if not time.isdecimal():
            raise _unreadable(path, rows.line_num, f"its time {time!r} is no number of ms")
        for label, cell in row.items():
            if cell:
                value = cell if _NUMBER.fullmatch(cell) else json.dumps(cell, ensure_ascii=False)
                yield rows.line_num, Frame(CSV_VEHICLE, label, value, int(time))


def _unreadable(path: Path, line: int, what: str) -> RecordingError:
    return RecordingError(f"{path}, line {line}: {what}. Correct the file, or record a new one.")
