"""A frame above the read limit, which the provider sends again after each connect."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from ingress_contracts.control import Connection
from ingress_contracts.kinds import CONNECTION
from telematics_publisher.intake import Intake
from telematics_publisher.provider import StreamEntry
from telematics_publisher.providers.viriciti import ViricitiStream
from telematics_publisher.stream import MAX_FRAME_BYTES, Manners, Stream

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from telematics_publisher.records import Record
    from tests.integration.publisher.provider_server import FakeClock, ProviderServer

pytestmark = pytest.mark.anyio

ROUNDS = 9
TOO_BIG = f"the provider sent a frame of more than {MAX_FRAME_BYTES} bytes: closed unread (1009)"


@pytest.fixture
def clock(provider_servers: Any) -> "FakeClock":
    clock: FakeClock = provider_servers.FakeClock()
    return clock


@pytest.fixture
async def intake(provider: "ProviderServer", clock: "FakeClock") -> AsyncIterator[Intake]:
    """What a stream from the provider reads; the dice always ask for the longest wait."""
    table = {"name": "buses", "workspace": "acme", "provider": "viriciti", "url": provider.url}
    entry = StreamEntry.model_validate(table | {"vehicles": {"arcc_004": ["soc"]}})
    intake = Intake(max_records=1_000, max_bytes=2**20)
    manners = Manners(clock=clock.now, sleep=clock.sleep, random=lambda: 1.0)
    task = asyncio.create_task(
        Stream(entry, ViricitiStream(entry, SecretStr("key")), intake, manners).run()
    )
    yield intake
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_frame_that_comes_again_and_again_is_met_with_growing_patience(
    provider: "ProviderServer", provider_servers: Any, clock: "FakeClock", intake: Intake
) -> None:
    big = "x" * (MAX_FRAME_BYTES + 1)
    codes: list[int | None] = []

    async def send(connection: "ServerConnection") -> None:
        number = 10 * (len(provider.subscriptions) - 1)
        for each in range(number, number + 3):
            await connection.send(provider_servers.frame(each))
        with suppress(Exception):  # it is cut off in the middle
            await connection.send(big)
        await connection.wait_closed()
        codes.append(connection.close_code)

    provider.behaviours = [send]
    seen: list[Record] = []
    with capture_logs() as logs:
        for round_ in range(1, ROUNDS + 1):
            while sum(b"1009" in record.data for record in seen) < round_:
                seen += await intake.take()
            if round_ < ROUNDS:
                await clock.advance(60.0)

    frames = [json.loads(one.data) for one in seen if one.lane.type != CONNECTION]
    events = [
        Connection.model_validate_json(one.data) for one in seen if one.lane.type == CONNECTION
    ]
    told = [line for line in logs if line["event"] == "stream_frame_too_big"]
    waits = [line["next_attempt_seconds"] for line in told]
    assert [frame["payload"]["value"] for frame in frames] == [
        10 * round_ + each for round_ in range(ROUNDS) for each in range(3)
    ]
    assert [(event.state.value, event.reason) for event in events] == [
        ("connected", None),
        ("subscribed", None),
        ("disconnected", TOO_BIG),
    ] * ROUNDS
    assert codes[: ROUNDS - 1] == [1009] * (ROUNDS - 1)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60][: len(waits)]
    assert len(waits) >= ROUNDS - 1  # the last one may be told a moment later
    assert all("ask the provider" in line["remedy"] for line in told)


async def test_goodbye_in_characters_of_control_ends_a_connection_and_no_more(
    provider: "ProviderServer", provider_servers: Any, clock: "FakeClock", intake: Intake
) -> None:
    async def leave(connection: "ServerConnection") -> None:
        await connection.send(provider_servers.frame(len(provider.subscriptions)))
        await connection.close(4000, "so\x00\x1b[2J\x85\u2028long")

    provider.behaviours = [leave]
    seen: list[Record] = []
    for round_ in (1, 2):
        while sum(b"disconnected" in record.data for record in seen) < round_:
            seen += await intake.take()
        await clock.advance(60.0)

    reasons = [json.loads(one.data)["reason"] for one in seen if b"disconnected" in one.data]
    assert len(reasons) == 2
    assert all("so [2J \u2028long" in reason for reason in reasons)
    assert sum(one.lane.type != CONNECTION for one in seen) == 2
