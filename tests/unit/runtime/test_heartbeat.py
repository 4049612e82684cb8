import asyncio

import pytest

from ingress_runtime.heartbeat import Heartbeat

pytestmark = pytest.mark.anyio


async def test_a_loop_that_turned_lately_is_alive() -> None:
    now = 0.0
    heart = Heartbeat(lambda: now)
    now = 29.0
    assert heart.alive()
    now = 31.0
    assert not heart.alive()

    beating = asyncio.create_task(heart.beat())
    await asyncio.sleep(0)
    assert heart.alive()
    beating.cancel()
