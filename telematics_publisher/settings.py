"""The edge's settings. Streams and credentials are in streams.toml: see telematics_publisher.streams."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from ingress_contracts.envelope import MAX_DATA_BYTES
from ingress_runtime.settings import Host, Settings

_API_URL = re.compile(r"https?://[^\s?#]+")


def of_api(url: str) -> str:
    """Return `url` if it can be core's base URL. Raises ValueError."""
    if not _API_URL.fullmatch(url):
        raise ValueError("must begin with http:// or https:// and have no query")
    return url


class TransportSettings(Settings):
    """The way to core, shared by every process that takes it."""

    model_config = SettingsConfigDict(env_prefix="INGRESS_")

    transport: Literal["http", "kafka", "queue-first", "shadow"] = Field(
        default="http",
        description="How envelopes travel to core: `http`, to INGRESS_API_URL; `kafka`, by the "
        "topic that INGRESS_KAFKA_TOPIC names; `queue-first`, by Kafka, and over HTTP while Kafka is "
        "away; `shadow`, over HTTP, with a copy to Kafka.",
    )
    api_url: Annotated[str, AfterValidator(of_api)] | None = Field(
        default=None,
        description="Base URL of core's API, such as https://ingress.example.com; needed by all but "
        "`kafka`.",
    )
    queue_deadline_seconds: float = Field(
        default=5.0,
        gt=0,
        le=300,
        description="Under `queue-first` and `shadow`: time for one attempt to send a batch to Kafka. "
        "What it did not confirm by then goes over HTTP, or is a copy that failed.",
    )
    queue_pause_seconds: float = Field(
        default=5.0,
        gt=0,
        le=3_600,
        description="Under `queue-first`: time after Kafka failed until it is probed; twice as long "
        "each time that it fails again.",
    )
    queue_longest_pause_seconds: float = Field(
        default=300.0, gt=0, le=86_400, description="The longest of these pauses."
    )
    queue_probes: int = Field(
        default=3,
        ge=1,
        le=100,
        description="Probes in a row that Kafka must answer until traffic goes there again.",
    )

    @model_validator(mode="after")
    def _http_has_an_address(self) -> Self:
        if self.uses_http and self.api_url is None:
            purpose = type(self).model_fields["api_url"].description
            raise ValueError(
                f"INGRESS_API_URL is not set. Set it: {purpose} Or set INGRESS_TRANSPORT=kafka"
            )
        return self

    @property
    def uses_http(self) -> bool:
        """Whether anything goes over HTTP."""
        return self.transport != "kafka"

    @property
    def uses_kafka(self) -> bool:
        """Whether anything goes over Kafka."""
        return self.transport != "http"

    @property
    def base_url(self) -> str:
        """The URL of core's API, which is there where anything goes over HTTP."""
        if self.api_url is None:
            raise AssertionError("settings of another transport have no URL")
        return self.api_url


class PublisherSettings(Settings):
    """How the edge reads, journals and sends."""

    model_config = SettingsConfigDict(env_prefix="PUBLISHER_")

    streams: Path = Field(
        default=Path("streams.toml"), description="The file that lists workspaces and streams."
    )
    journal_dir: Path = Field(
        default=Path("journals"),
        description="Directory of the journals, one file for each workspace, on a local disk that "
        "survives the process.",
    )
    journal_max_bytes: int = Field(
        default=4 * 2**30,
        ge=2**20,
        description="Size at which a journal is full. What was read by then and its write-ahead log "
        "come on top: some MiB.",
    )
    journal_max_age_seconds: float | None = Field(
        default=None,
        gt=0,
        description="Age of its oldest record at which a journal is full; unset: any age.",
    )
    journal_when_full: Literal["block", "drop-oldest"] = Field(
        default="block",
        description="What a full journal does: stop reading its streams (`block`), or give up its "
        "oldest records that were never sent and report them as dropped (`drop-oldest`).",
    )
    intake_records: int = Field(
        default=10_000, ge=1, description="Frames of a workspace that may wait for the journal."
    )
    batch_records: int = Field(default=500, ge=1, le=10_000, description="Most records of a batch.")
    batch_bytes: int = Field(
        default=2**20, ge=MAX_DATA_BYTES, description="Most bytes of data in a batch."
    )
    window: int = Field(default=3, ge=1, le=32, description="Batches in flight, each workspace.")
    send_deadline_seconds: float = Field(
        default=30.0, gt=0, description="Time for one attempt to send a batch, answer included."
    )
    checkpoint_seconds: float = Field(
        default=5.0, gt=0, description="Time between checkpoints, also when idle."
    )
    grace_seconds: float = Field(
        default=20.0,
        ge=0,
        description="Time to drain the journals after SIGTERM; what is left stays in them.",
    )
    metrics_host: Host = Field(
        default="127.0.0.1", description="Address that serves /metrics, /livez and /readyz."
    )
    metrics_port: int = Field(
        default=9464, ge=0, le=65_535, description="Its port; 0 takes a free one and logs it."
    )
