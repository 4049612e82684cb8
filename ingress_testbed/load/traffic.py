"""What the vehicles say: the frames of simulated buses, in envelopes as a publisher makes them."""

import random
from collections.abc import Iterator
from itertools import count, islice
from uuid import UUID

from ingress_contracts.control import Checkpoint
from ingress_contracts.envelope import Envelope
from ingress_testbed.fleet_model.bus import Bus
from ingress_testbed.recordings import Frame
from ingress_testbed.simulator.protocol import message
from telematics_publisher.records import Envelopes, Record, Stored, provider_lane

PROVIDER = "viriciti"
_STREAM = "load"
_BUSES, _FRAMES = 16, 1_000
_HOURS = 1.0  # a bus's day, pressed into an hour: as varied, and sooner made
_MILLISECOND = 1_000  # in microseconds


class Traffic:
    """A fleet whose vehicles each tell the next thing of a bus's life when they are asked.

    The lives are those of a few simulated buses, which many vehicles share, each from a point of
    its own on: a generator must be cheaper than what it tries.
    """

    def __init__(self, vehicles: int, seed: int, workspace: str, publisher: str) -> None:
        self._lane = provider_lane(PROVIDER, f"/{PROVIDER}/{workspace}/{_STREAM}", timestamped=True)
        self._envelopes = Envelopes(workspace, publisher)
        lives = [
            list(islice(_life(number, seed), _FRAMES)) for number in range(min(_BUSES, vehicles))
        ]
        dice = random.Random(f"traffic:{seed}").randrange
        self._lives = [lives[vehicle % len(lives)] for vehicle in range(vehicles)]
        self._places = [dice(_FRAMES) for _ in range(vehicles)]

    def envelope(self, vehicle: int, at: int, origin: tuple[UUID, int]) -> Envelope:
        """Return what a vehicle (from 0) reports at `at` (µs since 1970), as epoch and sequence."""
        place = self._places[vehicle]
        self._places[vehicle] = (place + 1) % _FRAMES
        _, label, value, _ = self._lives[vehicle][place]
        frame = Frame(f"load-{vehicle + 1:05}", label, value, at // _MILLISECOND)
        record = Record(self._lane, at, frame.vid, message(frame))
        return self._envelopes.of(Stored(*origin, record))

    def checkpoint(self, checkpoint: Checkpoint, at: int) -> Envelope:
        """Return the envelope of a checkpoint that is made at `at` (µs since 1970)."""
        return self._envelopes.of_checkpoint(checkpoint, at)


def _life(number: int, seed: int) -> Iterator[Frame]:
    """Yield a bus's frames without end, one day after the other."""
    for day in count():
        yield from Bus(f"bus-{number}", f"{seed}:{number}:{day}", 0, _HOURS).frames()
