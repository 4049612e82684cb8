"""When a run is over: everything arrived, and core heard so; or nothing moves any more. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ingress_testbed.demo.samples import Sample

STALL_SECONDS = 60.0


@dataclass(slots=True)
class Progress:
    """Judges samples as they come."""

    _marks: tuple[int, ...] = ()
    _moved: float = 0.0
    _reports: Mapping[str, datetime | None] | None = None

    def over(self, sample: Sample) -> bool:
        """Tell whether all has arrived, and each publisher has reported since (a checkpoint)."""
        if not (sample.finished and sample.arrived):
            self._reports = None
            return False
        reports = {stream.publisher: stream.reported for stream in sample.streams}
        if self._reports is None:
            self._reports = reports
        return all(report != self._reports[name] for name, report in reports.items())

    def stalled(self, sample: Sample) -> bool:
        """Tell whether nothing has moved for a minute although there is something to do.

        A provider that pauses, as parked vehicles do, is no stall; a journal that does not drain,
        or an end that does not come, is.
        """
        marks = (sample.sent, sample.journalled, sample.acknowledged, sample.settled)
        if marks != self._marks or not (sample.pending or sample.finished):
            self._marks, self._moved = marks, sample.at
        return sample.at - self._moved > STALL_SECONDS
