"""Topics for tests."""

import asyncio

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

_LOOK_EVERY_SECONDS = 0.05
_PATIENCE = 60.0


async def make_topics(bootstrap: str, *topics: NewTopic) -> None:
    """Make topics, and return once a broker tells of them all: it hears of a new one a bit later."""
    names = [topic.name for topic in topics]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics(list(topics))
        async with asyncio.timeout(_PATIENCE):
            while any(  # noqa: ASYNC110 — a broker sets no Event
                found["error_code"] for found in await admin.describe_topics(names)
            ):
                await asyncio.sleep(_LOOK_EVERY_SECONDS)
    finally:
        await admin.close()
