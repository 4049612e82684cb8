"""The consumer's settings. Brokers and topic are INGRESS_KAFKA_*, the database INGRESS_DATABASE_*."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from ingress_runtime.settings import Host, Settings


class ConsumerSettings(Settings):
    """How core reads its topic."""

    model_config = SettingsConfigDict(env_prefix="CORE_CONSUMER_")

    group: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,255}$")] = Field(
        default="telematics-core",
        description="The consumer group: its members share the partitions. A new name begins at "
        "the earliest record.",
    )
    batch_records: int = Field(
        default=5_000, ge=1, le=50_000, description="Most records that share a transaction."
    )
    poll_interval_seconds: float = Field(
        default=300,
        ge=1,
        le=3_600,
        description="A member that has not asked for records for so long has failed: its "
        "partitions go to others. Waiting for the database does not count.",
    )
    session_seconds: float = Field(
        default=30,
        ge=1,
        le=1_800,
        description="A member from which the brokers hear nothing for so long is dead.",
    )
    rebalance_seconds: float = Field(
        default=30,
        ge=1,
        le=600,
        description="Time for all members to join again when partitions move. Half of it is for "
        "the batch in work; after that the batch is given up, and repeated by whoever is next.",
    )
    metadata_seconds: float = Field(
        default=30, ge=0.1, le=3_600, description="How soon new partitions are noticed, in seconds."
    )
    retry_seconds: float = Field(
        default=30,
        gt=0,
        le=600,
        description="Longest pause between attempts while the database is away, in seconds.",
    )
    breaker_records: int = Field(
        default=1_000,
        ge=10,
        le=1_000_000,
        description="Newest records by which the breaker judges whether nearly all are rejected.",
    )
    breaker_share: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="Share of them that must be rejected for the consumer to stop and say so.",
    )
    watch_seconds: float = Field(
        default=5,
        ge=0.1,
        le=300,
        description="Time between two looks at lag and topic, in seconds.",
    )
    grace_seconds: float = Field(
        default=20,
        ge=0.1,
        le=600,
        description="Time after SIGTERM to finish the batch in work and to leave the group.",
    )
    metrics_host: Host = Field(
        default="127.0.0.1", description="Address that serves /metrics, /livez and /readyz."
    )
    metrics_port: int = Field(
        default=9465, ge=0, le=65_535, description="Its port; 0 takes a free one and logs it."
    )
