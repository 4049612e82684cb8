import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from structlog.testing import capture_logs

from ingress_contracts.control import Connection, ConnectionState
from ingress_contracts.kinds import CONNECTION
from telematics_publisher.intake import Intake
from telematics_publisher.provider import StreamEntry
from telematics_publisher.providers.viriciti import ViricitiStream
from telematics_publisher.records import Record
from telematics_publisher.stream import Manners, Stream
from telematics_publisher.watchdog import Patience

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from tests.integration.publisher.provider_server import FakeClock, ProviderServer

pytestmark = pytest.mark.anyio

CONNECTED, SUBSCRIBED, DISCONNECTED = ConnectionState
KEY = "the-provider-key"


class Reading:
    """A running stream, seen through its intake."""

    def __init__(self, stream: Stream, intake: Intake) -> None:
        self.stream = stream
        self.intake = intake
        self.records: list[Record] = []

    @property
    def states(self) -> list[tuple[ConnectionState, str | None]]:
        events = [one for one in self.records if one.lane.type == CONNECTION]
        bodies = [Connection.model_validate_json(one.data) for one in events]
        return [(body.state, body.reason) for body in bodies]

    @property
    def frames(self) -> list[Record]:
        return [one for one in self.records if one.lane.type != CONNECTION]

    async def until(self, condition: Callable[["Reading"], bool]) -> None:
        while not condition(self):
            self.records += await self.intake.take()


@pytest.fixture
def clock(provider_servers: Any) -> "FakeClock":
    clock: FakeClock = provider_servers.FakeClock()
    return clock


@pytest.fixture
def manners(clock: "FakeClock") -> Manners:
    return Manners(clock=clock.now, sleep=clock.sleep, random=lambda: 0.5, wall=lambda: 17)


@asynccontextmanager
async def reading(url: str, manners: Manners, *, most: int = 1_000) -> AsyncIterator[Reading]:
    table = {"name": "buses", "workspace": "acme", "provider": "viriciti", "url": url}
    entry = StreamEntry.model_validate(table | {"vehicles": {"arcc_004": ["soc"]}})
    intake = Intake(max_records=most, max_bytes=2**20)
    stream = Stream(entry, ViricitiStream(entry, SecretStr(KEY)), intake, manners)
    task = asyncio.create_task(stream.run())
    seen = Reading(stream, intake)
    try:
        yield seen
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        intake.close()
        seen.records += await intake.take()


async def test_subscribes_reads_and_says_goodbye(
    provider: "ProviderServer", provider_servers: Any, manners: Manners
) -> None:
    sent = [provider_servers.frame(number) for number in range(50)]
    sent += ['{"type":"acl","payload":{"vid":"arcc_004"}}', "not JSON", ""]

    async def send(connection: "ServerConnection") -> None:
        for one in sent:
            await connection.send(one)
        await connection.wait_closed()

    provider.behaviours = [send]
    async with reading(provider.url, manners) as seen:
        await seen.until(lambda seen: len(seen.frames) == len(sent))
    assert provider.paths == [f"/api/v2/live?apiKey={KEY}"]
    assert provider.subscriptions == [{"vehicles": {"arcc_004": ["soc"]}}]
    assert [one.data.decode() for one in seen.frames] == sent
    assert [one.lane.timestamped for one in seen.frames] == [True] * 50 + [False] * 3
    assert [one.subject for one in seen.frames] == ["arcc_004"] * 51 + [None] * 2
    assert {one.received for one in seen.records} == {17}
    assert seen.states == [
        (CONNECTED, None),
        (SUBSCRIBED, None),
        (DISCONNECTED, "the publisher stops"),
    ]


async def test_subscribes_again_after_every_reconnect(
    provider: "ProviderServer", provider_servers: Any, manners: Manners, clock: "FakeClock"
) -> None:
    async def send_one(connection: "ServerConnection") -> None:
        await connection.send(provider_servers.frame(len(provider.subscriptions)))

    async def stay(connection: "ServerConnection") -> None:
        await send_one(connection)
        await connection.wait_closed()

    provider.behaviours = [send_one, send_one, stay]
    async with reading(provider.url, manners) as seen:
        for round_ in (1, 2):
            await seen.until(lambda seen, n=round_: seen.states.count((CONNECTED, None)) == n)  # type: ignore[misc]
            await seen.until(lambda seen, n=round_: len(seen.states) == 3 * n)  # type: ignore[misc]
            await clock.advance(30.0)
        await seen.until(lambda seen: len(seen.frames) == 3)
    assert len(provider.subscriptions) == 3
    assert [state for state, _ in seen.states] == [CONNECTED, SUBSCRIBED, DISCONNECTED] * 3
    backoffs = [0.5, 1.0]  # half of 1 s, then of 2 s: the connections did not last
    assert [one for one in clock.slept if one in backoffs] == backoffs


async def test_a_half_open_connection_is_given_up_and_replaced(
    provider: "ProviderServer", manners: Manners, clock: "FakeClock"
) -> None:
    deaf: list[ServerConnection] = []

    async def go_deaf(connection: "ServerConnection") -> None:
        connection.transport.pause_reading()  # sees no ping, sends no pong, closes nothing
        deaf.append(connection)
        await connection.wait_closed()

    async def stay(connection: "ServerConnection") -> None:
        await connection.wait_closed()

    provider.behaviours = [go_deaf, stay]
    async with reading(provider.url, manners) as seen:
        await seen.until(lambda seen: (SUBSCRIBED, None) in seen.states)
        await clock.advance(20.0)  # a ping is due
        await clock.advance(20.0)  # and was not answered
        await seen.until(lambda seen: len(seen.states) == 3)
        await clock.advance(60.0)  # the backoff
        await seen.until(lambda seen: len(seen.states) == 5)
    assert seen.states[2] == (DISCONNECTED, "no answer to a ping within 20 s")
    assert seen.states[3:5] == [(CONNECTED, None), (SUBSCRIBED, None)]
    deaf[0].transport.abort()


async def test_a_subscription_that_is_not_echoed_is_sent_again_on_a_new_connection(
    provider: "ProviderServer", manners: Manners, clock: "FakeClock"
) -> None:
    provider.echo = False
    async with reading(provider.url, manners) as seen:
        await seen.until(lambda seen: (CONNECTED, None) in seen.states)
        await clock.advance(30.0)
        await seen.until(lambda seen: len(seen.states) == 2)
        provider.echo = True
        await clock.advance(60.0)
        await seen.until(lambda seen: (SUBSCRIBED, None) in seen.states)
    assert seen.states[1] == (DISCONNECTED, "no echo within 30 s")


async def test_an_echo_that_lacks_something_is_reported_and_reading_goes_on(
    provider: "ProviderServer", provider_servers: Any, manners: Manners
) -> None:
    async def answer_less(connection: "ServerConnection") -> None:
        await connection.send('{"vehicles":{}}')
        await connection.send(provider_servers.frame(1))
        await connection.wait_closed()

    provider.echo = False
    provider.behaviours = [answer_less]
    async with reading(provider.url, manners) as seen:
        await seen.until(lambda seen: len(seen.frames) == 1)
    assert (SUBSCRIBED, "not confirmed: arcc_004 (soc)") in seen.states


@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN])
async def test_a_refused_credential_is_said_once_and_tried_again_slowly(
    provider: "ProviderServer", manners: Manners, clock: "FakeClock", status: HTTPStatus
) -> None:
    provider.refuse = status
    async with reading(provider.url, manners) as seen:
        for _ in range(3):
            await clock.advance(600.0)
        await clock.asleep()
        provider.refuse = None
        await clock.advance(600.0)
        await seen.until(lambda seen: (SUBSCRIBED, None) in seen.states)
    refused = f"the provider refused the credential: HTTP {status.value}"
    assert seen.states[:3] == [(DISCONNECTED, refused), (CONNECTED, None), (SUBSCRIBED, None)]
    assert min(clock.slept[:3]) >= 30.0


async def test_a_provider_that_is_away_is_tried_again_and_no_reason_shows_the_key(
    provider: "ProviderServer", manners: Manners, clock: "FakeClock"
) -> None:
    await provider.stop()
    async with reading(provider.url, manners) as seen:
        for _ in range(4):
            await clock.advance(60.0)
        await seen.until(lambda seen: bool(seen.states))
    assert clock.slept[:4] == [0.5, 1.0, 2.0, 4.0]
    assert seen.states[0][0] is DISCONNECTED
    assert all(KEY not in (reason or "") for _, reason in seen.states)


async def test_a_full_intake_stops_the_reading_and_loses_nothing(
    provider: "ProviderServer", provider_servers: Any, manners: Manners
) -> None:
    sent = [provider_servers.frame(number) for number in range(2_000)]

    async def send(connection: "ServerConnection") -> None:
        for one in sent:
            await connection.send(one)
        await connection.wait_closed()

    provider.behaviours = [send]
    most = 10
    patient = replace(manners, sleep=asyncio.sleep)
    async with reading(provider.url, patient, most=most) as seen:
        groups = []
        while len(seen.frames) < len(sent):
            taken = await seen.intake.take()
            groups.append(len(taken))
            seen.records += taken
    assert max(groups) <= most
    assert [one.data.decode() for one in seen.frames] == sent


async def test_a_live_subscription_that_falls_silent_shows_and_is_told_once_a_silence(
    provider: "ProviderServer", provider_servers: Any, manners: Manners, clock: "FakeClock"
) -> None:
    speak = asyncio.Event()

    async def send_one_now_and_then(connection: "ServerConnection") -> None:
        await connection.send(provider_servers.frame(1))
        await speak.wait()
        await connection.send(provider_servers.frame(2))
        await connection.wait_closed()

    def last_frame() -> float | None:
        labels = {"provider": "viriciti", "stream": "buses"}
        return REGISTRY.get_sample_value("publisher_stream_last_frame_timestamp_seconds", labels)

    provider.behaviours = [send_one_now_and_then]
    seldom = replace(manners, wall=lambda: 5_000_000, patience=Patience(ping_after=310.0))
    with capture_logs() as logs:
        async with reading(provider.url, seldom) as seen:
            await seen.until(lambda seen: len(seen.frames) == 1)
            assert last_frame() == 5.0
            await clock.advance(310.0)  # a ping is due
            speak.set()
            await seen.until(lambda seen: len(seen.frames) == 2)
            await clock.advance(20.0)  # its answer is
            await clock.advance(290.0)  # another ping is
            await clock.asleep()
            assert len(provider.subscriptions) == 1  # nobody was cut off
    told = [one for one in logs if one["event"] in {"stream_silent", "stream_speaks_again"}]
    assert [one["event"] for one in told] == [
        "stream_silent",
        "stream_speaks_again",
        "stream_silent",
    ]
    assert told[0]["log_level"] == "warning"
    assert told[0]["seconds"] >= 300
    assert "publisher check" in told[0]["remedy"]
    assert all("reason" not in one or one["reason"] for one in logs)
    assert last_frame() is None
