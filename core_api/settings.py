"""Settings of the API process. Variables start with CORE_API_."""

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from ingress_runtime.settings import Host, Settings

_MIB = 1024 * 1024


class ApiSettings(Settings):
    """Where the API listens, and how much it takes at once."""

    model_config = SettingsConfigDict(env_prefix="CORE_API_")

    host: Host = Field(
        default="127.0.0.1", description="Address to listen on; 0.0.0.0 for every IPv4 interface."
    )
    port: int = Field(
        default=8080,
        ge=0,
        le=65_535,
        description="Port to listen on; 0 takes a free one, which the event `api_listening` names.",
    )
    max_connections: int = Field(
        default=800,
        ge=1,
        description="Most open connections; beyond it new ones get 503. Each takes a file "
        "descriptor, of which many systems give a process 1,024.",
    )
    max_head_bytes: int = Field(
        default=32 * 1024,
        ge=1024,
        description="Largest head of a request: its target and its fields, in bytes.",
    )
    head_seconds: float = Field(
        default=10,
        gt=0,
        description="Time for the head of a request to arrive, and for a new connection to send "
        "one, in seconds.",
    )
    max_body_bytes: int = Field(
        default=8 * _MIB,
        ge=_MIB,
        description="Largest body of an ingest request as it is sent, compressed or not.",
    )
    max_expanded_bytes: int = Field(
        default=8 * _MIB, ge=_MIB, description="Largest body of an ingest request once inflated."
    )
    max_envelopes: int = Field(
        default=1_000, ge=1, description="Most envelopes in one ingest request."
    )
    work_envelopes: int = Field(
        default=20_000,
        ge=1,
        description="Most envelopes waiting or being committed; beyond it requests get 503.",
    )
    work_bytes: int = Field(
        default=64 * _MIB,
        ge=_MIB,
        description="Most bytes of inflated bodies in work; beyond it requests get 503.",
    )
    requests_per_key: int = Field(
        default=16, ge=1, description="Most ingest requests of one key at once; beyond it, 429."
    )
    body_seconds: float = Field(
        default=30,
        gt=0,
        description="Time for the body of an ingest request to arrive, in seconds.",
    )
    commit_workers: int = Field(
        default=2, ge=1, le=32, description="Transactions at once; each takes one connection."
    )
    commit_envelopes: int = Field(
        default=5_000, ge=1, description="Most envelopes that share a transaction."
    )
    key_cache_seconds: float = Field(
        default=10,
        ge=0,
        le=300,
        description="How long an API key is remembered, in seconds: a revocation works within it.",
    )
    read_connections: int = Field(
        default=3, ge=1, le=64, description="Reads at once; each takes one connection."
    )
    read_seconds: float = Field(
        default=10, gt=0, description="Time that one read may take in the database, in seconds."
    )
    compact_seconds: float = Field(
        default=5,
        gt=0,
        description="Pause between two runs of the settlements' compactor, seconds.",
    )
    ledger_look_seconds: float = Field(
        default=15,
        ge=1,
        le=3_600,
        description="Least time between two looks at the ledger for the gauges of what is unaccounted, "
        "stranded, in flight, or waits as a dead letter, in seconds. A look precedes a compactor's run.",
    )
    shadow_hours: int = Field(
        default=24,
        ge=1,
        le=168,
        description="How long the shadow report can look back, in hours: so long it is kept by which "
        "door numbers came, of publishers that send copies.",
    )
    drain_seconds: float = Field(
        default=0,
        ge=0,
        description="Time between a stop signal, when /readyz turns 503, and closing the port: "
        "lets a load balancer look away first.",
    )
    grace_seconds: int = Field(
        default=20, ge=1, description="Time for accepted requests to finish at a stop, in seconds."
    )

    @model_validator(mode="after")
    def _one_request_fits(self) -> "ApiSettings":
        if self.work_envelopes < self.max_envelopes:
            raise ValueError(
                f"CORE_API_WORK_ENVELOPES ({self.work_envelopes}) must be at least "
                f"CORE_API_MAX_ENVELOPES ({self.max_envelopes}): raise the one or lower the other"
            )
        if self.work_bytes < self.max_expanded_bytes:
            raise ValueError(
                f"CORE_API_WORK_BYTES ({self.work_bytes}) must be at least "
                f"CORE_API_MAX_EXPANDED_BYTES ({self.max_expanded_bytes}): raise the one or lower "
                "the other"
            )
        return self

    @property
    def connections(self) -> int:
        """Connections the process needs: commits, reads, a key look-up, a probe, the compactor."""
        return self.commit_workers + self.read_connections + 3
