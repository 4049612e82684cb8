"""Stamps of receipt that a wrong clock made: core refuses them until they are corrected."""

from collections.abc import Sequence

from ingress_contracts.envelope import Envelope
from telematics_publisher.errors import ClockAhead
from telematics_publisher.records import instant


def corrected(batch: Sequence[Envelope], error: ClockAhead, now: int) -> list[Envelope] | None:
    """Return `batch` with no `receivedtime` after `now` (our clock, in microseconds).

    None while our clock is not to be trusted with that: it must agree with core's, which the
    error tells, within the skew. So a clock that is ahead is never papered over, and one that fell
    back to 1970 does not date everything. The content id does not depend on the stamp, and an
    earlier one admits nothing that the later would not have.
    """
    ours = instant(now)
    furthest = max(one.receivedtime for one in batch)
    behind = (furthest - ours).total_seconds()  # where core's clock and ours agree, `ahead_seconds`
    if not abs(error.ahead_seconds - behind) <= error.skew_seconds:
        return None
    return [
        one if one.receivedtime <= ours else one.model_copy(update={"receivedtime": ours})
        for one in batch
    ]
