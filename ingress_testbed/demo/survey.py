"""What a recording holds, read once before it is replayed."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from ingress_testbed.recordings import Recording


@dataclass(frozen=True, slots=True)
class Survey:
    """The number of frames, and each vehicle's labels: what a subscriber has to ask for."""

    frames: int
    labels: Mapping[str, tuple[str, ...]]


def survey(recording: Recording) -> Survey:
    """Read `recording` to its end. Raises RecordingError."""
    frames = 0
    labels: dict[str, set[str]] = defaultdict(set)
    for frame in recording.frames():
        frames += 1
        labels[frame.vid].add(frame.label)
    return Survey(frames, {vid: tuple(sorted(found)) for vid, found in sorted(labels.items())})
