"""What the environment says about the servers and recordings of a trial."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from core_ingest.store.database import DatabaseUrl
from ingress_runtime.kafka.settings import Bootstrap
from ingress_runtime.settings import Settings

PostgresChoice = Literal["auto", "address", "installed", "embedded"]
KafkaChoice = Literal["auto", "address", "installed", "embedded", "redpanda"]


class TestbedSettings(Settings):
    """Which servers and recordings to use."""

    __test__ = False  # pytest would take the name for a test's

    model_config = SettingsConfigDict(env_prefix="INGRESS_")

    database_url: DatabaseUrl | None = Field(
        default=None,
        description="A Postgres that runs already, for the testbed as for core.",
    )
    testbed_postgres: PostgresChoice = Field(
        default="auto",
        description=(
            "Postgres for trials: `address` (INGRESS_DATABASE_URL), `installed` (initdb on PATH or "
            "in /usr/lib/postgresql), `embedded` (the wheel), or `auto`: the first to be had."
        ),
    )
    kafka_bootstrap: Bootstrap | None = Field(
        default=None,
        description="A Kafka that runs already, for the testbed too: `host:port[,host:port]`.",
    )
    testbed_kafka: KafkaChoice = Field(
        default="auto",
        description=(
            "Kafka for trials: `address` (INGRESS_KAFKA_BOOTSTRAP), `installed` (Apache Kafka of "
            "KAFKA_HOME, of PATH, or fetched by `make kafka`; else `tansu` on PATH), `embedded` "
            "(the wheel), `redpanda` (a container), or `auto`: the first of the other three to be "
            "had."
        ),
    )
    recordings: Path | None = Field(
        default=None, description="The directory of the real recordings, for tests and benchmarks."
    )


class KafkaHome(Settings):
    """Where Apache Kafka is installed, under the name that Kafka itself has for it."""

    kafka_home: Path | None = Field(
        default=None, description="Apache Kafka for trials: the directory that holds `libs`."
    )
