from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ingress_testbed.demo.samples import Sample, Stream

STREAM = Stream(
    publisher="publisher-1",
    sent=100,
    journalled=102,
    acknowledged=102,
    pending=0,
    journal_bytes=20_480,
    finished=True,
    reported=datetime(2026, 1, 1, tzinfo=UTC),
)
SAMPLE = Sample(
    at=0.0,
    expected=100,
    streams=(STREAM,),
    settled=100,
    outcomes={"accepted": 90, "unchanged": 10, "dead_lettered": 0},
    in_flight=0,
    unaccounted=0,
    lag_seconds=0.05,
)

MakeSample = Callable[..., Sample]


@pytest.fixture
def make_sample() -> MakeSample:
    """A sample of one stream; fields of the stream and of the sample can be given."""

    def make(**fields: Any) -> Sample:
        of_stream = {name: fields.pop(name) for name in list(fields) if hasattr(STREAM, name)}
        stream = replace(STREAM, **of_stream)
        return replace(SAMPLE, streams=(stream,), **fields)

    return make
