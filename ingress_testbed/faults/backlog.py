"""What a group has not acknowledged of its topic, as the brokers tell it."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from ingress_testbed.demo.queue import PARTITIONS, Queue

_SECONDS = 30.0


async def backlog(queue: Queue) -> int:
    """Return how many records the queue's group has not committed. Raises TimeoutError.

    Asks without joining the group.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=queue.cluster.bootstrap,
        group_id=queue.topic,
        enable_auto_commit=False,
    )
    async with asyncio.timeout(_SECONDS), consumer:
        places = [TopicPartition(queue.topic, number) for number in range(PARTITIONS)]
        ends = await consumer.end_offsets(places)
        unread = 0
        for place in places:
            unread += int(ends[place]) - int(await consumer.committed(place) or 0)
    return unread
