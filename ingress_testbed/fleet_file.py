"""Record a fleet's day into a file, showing how far it is where somebody is looking."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from ingress_testbed.fleet import START, FleetPlan, fleet_frames
from ingress_testbed.recordings import Frame, write_recording

_SHOW_EVERY = 10_000
_HOUR = 3_600_000


def record_fleet(plan: FleetPlan, path: Path) -> int:
    """Write the frames of `plan` to `path` and return their number. Raises RecordingError.

    Progress goes to stderr, on a terminal only.
    """
    count = 0

    def counted() -> Iterator[Frame]:
        nonlocal count
        shown = 0
        for count, frame in enumerate(fleet_frames(plan), start=1):
            if count % _SHOW_EVERY == 0:
                done = frame.time - START
                bar.update(done - shown)
                shown = done
            yield frame

    hours = int(plan.hours * _HOUR)
    hidden = not sys.stderr.isatty()
    with click.progressbar(length=hours, label="recording", file=sys.stderr, hidden=hidden) as bar:
        write_recording(path, counted())
    return count
