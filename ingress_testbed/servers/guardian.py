"""Run a command for as long as the process that asked for it lives, and no longer.

    python -I -S guardian.py STOP_SIGNAL GRACE_SECONDS UID GID COMMAND...

Standard input is a pipe whose other end only the caller holds. Its end (the caller closed it, or
died in whatever way) or SIGTERM stops the command: STOP_SIGNAL first, SIGKILL after the grace.
UID and GID are those to run the command under; -1 leaves the caller's.

The guardian is a process of its own rather than PR_SET_PDEATHSIG in the caller, because that
signal is sent when the *thread* ends that started the child (prctl(2)), and because macOS has
none. It uses the standard library alone and runs from its file, whoever may read the checkout.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import IO, NamedTuple

_PR_SET_PDEATHSIG = 1
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Manner(NamedTuple):
    """How a command is ended: by which signal, and how long it may take before SIGKILL."""

    stop_signal: signal.Signals
    grace_seconds: float


def start(
    command: Sequence[str],
    *,
    log: IO[bytes],
    manner: Manner,
    user: tuple[int, int] | None = None,
    extra_environment: Mapping[str, str] = _NOTHING,
) -> subprocess.Popen[bytes]:
    """Start `command` under a guardian, to be ended by `stop`.

    `log` takes both outputs. `user` is (uid, gid). The process returned is the guardian, which
    ends with the command and carries its exit code (128 + n after signal n). It has a session of
    its own, so that Ctrl-C reaches the caller alone.
    """
    uid, gid = user or (-1, -1)
    arguments = [
        str(manner.stop_signal.value),
        str(manner.grace_seconds),
        str(uid),
        str(gid),
        *command,
    ]
    return subprocess.Popen(  # noqa: S603 — the command is the caller's own, no shell reads it
        [sys.executable, "-I", "-S", __file__, *arguments],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        env={**os.environ, **extra_environment},  # not settings: what every child inherits
        start_new_session=True,
    )


def stop(guardian: subprocess.Popen[bytes]) -> int:
    """End the command, unless it has ended already, wait for it and return its exit code."""
    if guardian.stdin is not None:
        guardian.stdin.close()
    return guardian.wait()


def _die_with_parent(stop_signal: int) -> Callable[[], None] | None:
    """Return what the child runs before exec: should the guardian be killed, the child stops."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, stop_signal)


def _guard(stop_signal: int, grace_seconds: float, uid: int, gid: int, command: list[str]) -> int:
    wakeup, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen(  # noqa: S603 — see start()
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_parent(stop_signal),  # noqa: PLW1509 — there is one thread
        user=uid if uid >= 0 else None,
        group=gid if gid >= 0 else None,
        extra_groups=[] if uid >= 0 else None,
    )
    _wait_for_the_end(child, wakeup)
    if child.poll() is None:
        child.send_signal(stop_signal)
    try:
        code = child.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        code = child.wait()
    return code if code >= 0 else 128 - code


def _wait_for_the_end(child: subprocess.Popen[bytes], wakeup: int) -> None:
    """Return when the caller's end of stdin is closed, on SIGTERM, or when the child has ended.

    SIGCHLD also tells that the child was paused or resumed: that is no end.
    """
    while child.poll() is None:
        readable, _, _ = select.select([sys.stdin, wakeup], [], [])
        if sys.stdin in readable:
            return
        if set(os.read(wakeup, 4096)) & {signal.SIGTERM, signal.SIGINT}:
            return


if __name__ == "__main__":
    _signal, _grace, _uid, _gid, *_command = sys.argv[1:]
    sys.exit(_guard(int(_signal), float(_grace), int(_uid), int(_gid), _command))
