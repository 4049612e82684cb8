"""The connection pool, built in `main` from settings."""

from typing import Annotated, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from core_ingest.errors import translated
from ingress_runtime.settings import Settings

Connection: TypeAlias = asyncpg.Connection | PoolConnectionProxy
"""A connection, whether it was opened by itself or comes from a pool."""


def _of_postgres(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("the URL must begin with postgresql:// or postgres://")
    return url


DatabaseUrl = Annotated[SecretStr, AfterValidator(_of_postgres)]
"""Where a Postgres is, password included."""


class DatabaseSettings(Settings):
    """Where core keeps its state."""

    model_config = SettingsConfigDict(env_prefix="INGRESS_DATABASE_")

    url: DatabaseUrl = Field(
        description="Postgres 15 or later: `postgresql://user:password@host/db`."
    )
    pool_size: int = Field(
        default=8, ge=1, le=100, description="Connections a process holds at most."
    )
    statement_timeout_seconds: float = Field(
        default=60.0,
        gt=0,
        le=86_400,
        description="A statement that takes longer is cancelled and retried.",
    )


async def connect(
    url: str, *, min_size: int = 1, max_size: int = 8, statement_timeout: float = 60.0
) -> asyncpg.Pool:
    """Return an open pool. Raises StoreUnavailable if the database cannot be reached.

    Generic plans are asked for: the handler's statements are few, always the same, and take whole
    arrays, whose length a custom plan would only guess at again.
    """
    with translated():
        return await asyncpg.create_pool(
            url,
            min_size=min_size,
            max_size=max_size,
            command_timeout=statement_timeout + 5,
            server_settings={
                "application_name": "telematics-ingress",
                "statement_timeout": str(int(statement_timeout * 1000)),
                "jit": "off",
                "plan_cache_mode": "force_generic_plan",
            },
        )
