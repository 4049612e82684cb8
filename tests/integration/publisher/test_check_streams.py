"""What is found of a provider and of a stream's first frames, by `ingress publisher check`."""

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.server import ServerConnection

from ingress_runtime.findings import Level
from telematics_publisher import streams
from telematics_publisher.checks.streams import sample
from telematics_publisher.provider import installed
from tests.integration.publisher.edge import SECRETS, Edge, streams_at

if TYPE_CHECKING:
    from tests.integration.publisher.provider_server import ProviderServer

pytestmark = pytest.mark.anyio


@pytest.mark.usefixtures("driving")
async def test_a_misspelt_label_is_told_and_one_of_the_providers_own_is_shown(edge: Edge) -> None:
    edge.path.write_text(edge.path.read_text().replace('["soc"]', '["soc", "curent"]'))
    found = (await edge.check())["labels of fleet of acme"]
    assert (found.level, found.found) == (Level.WARN, "1 label that core does not know")
    (shown,) = found.details
    assert shown == (
        "`curent` of arcc_004 is no label that core knows: it will be kept as signal "
        "`viriciti.curent`. Did you mean `current`?"
    )
    edge.path.write_text(edge.path.read_text().replace('"curent"', '"doors"'))
    found = (await edge.check())["labels of fleet of acme"]
    assert found.level is Level.OK
    assert "`viriciti.doors`" in found.details[0]


async def test_streams_are_tried_at_once_and_told_in_the_file_s_order(
    edge: Edge, provider: "ProviderServer", provider_servers: Any
) -> None:
    late = asyncio.Event()

    async def drive(socket: ServerConnection) -> None:
        assert socket.request is not None
        if socket.request.path.startswith("/late"):
            await late.wait()
        for number in range(3):
            await socket.send(provider_servers.frame(number))
        await socket.wait_closed()
        late.set()  # only when the second stream has been heard may the first one speak

    provider.behaviours = [drive]
    text = edge.path.read_text()
    trams = text[text.index("[[streams]]") :].replace("fleet", "trams")
    host = provider.url.removesuffix("/api/v2/live")
    edge.path.write_text(streams_at(f"{host}/late") + trams)
    found = await edge.check()
    told = [subject for subject in found if subject.startswith("stream ")]
    assert told == ["stream fleet of acme", "stream trams of acme"]
    assert {found[subject].level for subject in told} == {Level.OK}


async def test_a_refused_credential_is_told(edge: Edge, provider: "ProviderServer") -> None:
    provider.refuse = HTTPStatus.UNAUTHORIZED
    finding = (await edge.check())["stream fleet of acme"]
    assert finding.found == "the provider refused the credential: HTTP 401"
    assert "`credential` in streams.toml" in str(finding.remedy)


async def test_a_wrong_address_is_told(edge: Edge, provider: "ProviderServer") -> None:
    provider.refuse = HTTPStatus.NOT_FOUND
    assert "`url` in streams.toml" in str((await edge.check())["stream fleet of acme"].remedy)
    edge.path.write_text(streams_at("ws://127.0.0.1:1"))
    assert "no connection" in (await edge.check())["stream fleet of acme"].found
    assert "127.0.0.1:1: no connection" in (await edge.examine())["provider viriciti"].found


async def test_labels_that_the_provider_left_out_are_named(
    edge: Edge, provider: "ProviderServer"
) -> None:
    async def shorten(socket: ServerConnection) -> None:
        await socket.send('{"vehicles":{"arcc_004":[]}}')
        for _ in range(3):
            await socket.send('{"type":"error"}')
        await socket.wait_closed()

    provider.echo = False
    provider.behaviours = [shorten]
    finding = (await edge.check())["stream fleet of acme"]
    assert finding.level is Level.WARN
    assert "not confirmed: arcc_004 (soc)" in finding.found
    assert len(finding.details) == 3


async def test_a_provider_that_hangs_up_is_told_with_what_it_sent(
    edge: Edge, provider: "ProviderServer"
) -> None:
    async def hang_up(socket: ServerConnection) -> None:
        await socket.send('{"type":"error","payload":"no access to ?apiKey=provider-secret-key"}')
        await socket.close(1008, "no access")

    provider.behaviours = [hang_up]
    finding = (await edge.check())["stream fleet of acme"]
    assert finding.level is Level.FAIL
    assert "no access" in finding.found
    assert "***" in finding.details[0]


async def test_silence_after_the_echo_is_worth_a_look(edge: Edge) -> None:
    finding = (await edge.check(seconds=0.05))["stream fleet of acme"]
    assert finding.level is Level.WARN
    assert "no frame came" in finding.found


async def test_no_echo_at_all_is_told(edge: Edge, provider: "ProviderServer") -> None:
    provider.echo = False
    (acme,) = streams.load(edge.path, SECRETS, installed())
    ((entry, stream),) = acme.streams
    finding = await sample(entry, stream, seconds=30.0, echo_within=0.05)
    assert finding.level is Level.FAIL
    assert "did not confirm the subscription" in finding.found
