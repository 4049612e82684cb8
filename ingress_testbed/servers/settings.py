"""What the environment says about the servers and recordings of a trial."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from core_ingest.store.database import DatabaseUrl
from ingress_runtime.settings import Settings

PostgresChoice = Literal["auto", "address", "installed", "embedded"]


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
    recordings: Path | None = Field(
        default=None, description="The directory of the real recordings, for tests and benchmarks."
    )
