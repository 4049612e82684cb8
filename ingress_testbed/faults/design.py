"""What a trial is made of: what is replayed and how, the processes by name, and their secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ingress_testbed.recordings import Recording

API, PUBLISHER, SIMULATOR = "api", "publisher", "simulator"
CONSUMER = "consumer"
"""The queue's reader; `consumer-b` and so on are further members of its group."""
PUBLISHER_ID = "edge-1"
PROBE = "probe"
"""A second workspace, for requests of a trial's own."""


@dataclass(frozen=True, slots=True)
class Design:
    """What is replayed and how: `speed` as the simulator takes it, and settings beyond defaults.

    With `resend` the simulator begins the recording anew at each connection, as a provider does
    that fills gaps; without it, it goes on where the last one ended. It ends after `seconds`.
    `habits` are the simulator's bad ones, such as `future=300`.
    """

    recording: Recording
    speed: str = "max"
    resend: bool = True
    seconds: float | None = None
    habits: tuple[str, ...] = ()
    api: Mapping[str, str] = field(default_factory=dict)
    publisher: Mapping[str, str] = field(default_factory=dict)
    consumer: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Secrets:
    """All that nobody may read anywhere: keys by what they are for, and the database's password."""

    ingest_key: str
    probe_key: str
    admin_key: str
    read_key: str
    provider_key: str
    database_password: str
