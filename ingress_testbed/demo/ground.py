"""What a system stands on: a database, a topic where there is a cluster, and children."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from ingress_testbed.demo.database import migrated_pool, own_database
from ingress_testbed.demo.processes import Processes
from ingress_testbed.demo.queue import Queue, queued
from ingress_testbed.servers.kafka import KafkaCluster


@dataclass(frozen=True, slots=True)
class Ground:
    """A migrated database and a pool to it, what runs on it, and the topic, over Kafka."""

    database_url: str
    pool: asyncpg.Pool
    processes: Processes
    queue: Queue | None


@asynccontextmanager
async def ground(
    directory: Path, postgres_url: str, cluster: KafkaCluster | None
) -> AsyncIterator[Ground]:
    """Give a fresh database, and a fresh topic of `cluster`; end the processes, then remove both.

    Logs of the processes go to `directory`. Raises ProcessEnded where no topic can be made.
    """
    async with (
        own_database(postgres_url) as url,
        migrated_pool(url) as pool,
        AsyncExitStack() as topic,
        Processes(directory) as processes,
    ):
        queue = None
        if cluster is not None:
            queue = await topic.enter_async_context(queued(processes, cluster))
        yield Ground(url, pool, processes, queue)
