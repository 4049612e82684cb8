"""When a connection is dead although nobody closed it: a half-open socket is silent, not closed."""

from dataclasses import dataclass, field
from enum import Enum


class Act(Enum):
    """What to do for the connection that is watched."""

    WAIT = "wait"
    PING = "ping"
    GIVE_UP = "give_up"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds.

    After `ping_after` without a sign of life a ping is due; `answer_within` later without one the
    connection is dead. The subscription's echo must come within `echo_within`. `silence` without a
    single frame, be there pongs or not, is taken for a lost subscription (parked fleets are silent
    for hours: a reconnect then costs little).
    """

    ping_after: float = 20.0
    answer_within: float = 20.0
    echo_within: float = 30.0
    silence: float = 3_600.0


@dataclass(slots=True)
class Watchdog:
    """Judges one connection by the clock that it is told. Pure: it neither waits nor sends."""

    patience: Patience
    opened: float
    subscribed: bool = False
    _alive: float = field(init=False)
    _frame: float = field(init=False)
    _pinged: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._alive = self._frame = self.opened

    def frame_came(self, now: float) -> None:
        """Take note of a frame."""
        self._alive = self._frame = now
        self._pinged = None

    def pong_came(self, now: float) -> None:
        """Take note of a pong."""
        self._alive = now
        self._pinged = None

    def did_not_listen(self, now: float) -> None:
        """Take note that until now we did not read: silence was ours. Waiting begins anew."""
        self.frame_came(now)

    def ping_sent(self, now: float) -> None:
        """Take note of a ping."""
        self._pinged = now

    def silent_for(self, now: float) -> float:
        """Return for how many seconds no frame has come, although we listened."""
        return now - self._frame

    def judge(self, now: float) -> tuple[Act, float, str]:
        """Return what to do, for how many seconds to wait before asking again, and why."""
        dues = [(self._frame + self.patience.silence, "no frame", self.patience.silence)]
        if not self.subscribed:
            dues.append(
                (self.opened + self.patience.echo_within, "no echo", self.patience.echo_within)
            )
        if self._pinged is not None:
            answer = self.patience.answer_within
            dues.append((self._pinged + answer, "no answer to a ping", answer))
        due, lack, seconds = min(dues)
        if now >= due:
            return Act.GIVE_UP, 0.0, f"{lack} within {seconds:g} s"
        if self._pinged is None:
            ping = self._alive + self.patience.ping_after
            if now >= ping:
                return Act.PING, 0.0, ""
            due = min(due, ping)
        return Act.WAIT, due - now, ""
