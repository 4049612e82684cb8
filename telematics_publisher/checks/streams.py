"""Does a provider take our credential, confirm our subscription, and send? Nothing is journalled."""

import asyncio
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException

from ingress_runtime.findings import Finding, fail, ok, warn
from ingress_runtime.redact import redact_text
from telematics_publisher.provider import ProviderStream, StreamEntry
from telematics_publisher.stream import MAX_FRAME_BYTES
from telematics_publisher.words import counted

FRAMES = 3

_OPEN_SECONDS = 20.0
_CLOSE_SECONDS = 1.0
_ECHO_SECONDS = 30.0
_LONGEST_LINE = 240
_NOT_AUTHORISED = (401, 403)
_NOT_FOUND = 404
_ADDRESS = "Correct the stream's `url` in streams.toml, or leave it away for the provider's own"
_CREDENTIAL = "Check the stream's `credential` in streams.toml, and the key at the provider."


@dataclass(slots=True)
class _Heard:
    """What the provider has said so far."""

    echoed: bool = False
    missing: str | None = None
    frames: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return self.echoed and len(self.frames) >= FRAMES


async def sample(
    entry: StreamEntry,
    provider: ProviderStream,
    seconds: float,
    echo_within: float = _ECHO_SECONDS,
) -> Finding:
    """Connect, subscribe, and once that is confirmed listen for three frames, so many `seconds`."""
    subject = f"stream {entry.name} of {entry.workspace}"
    heard = _Heard()
    try:
        async with connect(
            provider.url,
            additional_headers=dict(provider.headers),
            max_size=MAX_FRAME_BYTES,
            open_timeout=_OPEN_SECONDS,
            close_timeout=_CLOSE_SECONDS,
        ) as socket:
            await _listen(socket, provider, heard, (echo_within, seconds))
    except ConnectionClosed as error:
        return fail(
            subject,
            f"the provider closed the connection: {_harmless(error)}",
            _CREDENTIAL,
            tuple(heard.frames),
        )
    except InvalidStatus as error:
        return _refused(subject, error.response.status_code)
    except (OSError, TimeoutError, InvalidURI, WebSocketException) as error:
        found, remedy = unreachable(error)
        return fail(subject, found, remedy)
    return _verdict(subject, heard, seconds if heard.echoed else echo_within)


def labels(entry: StreamEntry, provider: ProviderStream) -> Finding | None:
    """Say which labels core does not know; one that is nearly a known one is probably misspelt."""
    doubts = provider.doubts()
    if not doubts:
        return None
    subject = f"labels of {entry.name} of {entry.workspace}"
    details = tuple(
        f"{one.found} Did you mean `{one.meant}`?" if one.meant else one.found for one in doubts
    )
    count = counted(len(doubts), "label")
    if any(one.meant for one in doubts):
        return warn(
            subject,
            f"{count} that core does not know",
            "Correct what is misspelt in streams.toml. What is meant as it is can stay.",
            details,
        )
    return ok(subject, f"{count} that core keeps under the provider's own name", details)


async def reach(entry: StreamEntry, provider: ProviderStream) -> Finding:
    """Open a connection to the provider's host and close it; its key stays here."""
    parts = urlsplit(provider.url)
    secure = parts.scheme == "wss"
    port = parts.port or (443 if secure else 80)
    subject = f"provider {entry.provider}"
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            _, writer = await asyncio.open_connection(
                parts.hostname, port, ssl=ssl.create_default_context() if secure else None
            )
        writer.close()
    except (OSError, TimeoutError) as error:
        found, remedy = unreachable(error)
        return fail(subject, f"{parts.hostname}:{port}: {found}", remedy)
    return ok(subject, f"{parts.hostname}:{port} can be reached")


def unreachable(error: Exception) -> tuple[str, str]:
    """Say why there is no connection, and what to do."""
    match error:
        case TimeoutError():
            return (
                f"no answer within {_OPEN_SECONDS:g} s",
                f"Look at firewalls between here and the provider. {_ADDRESS}.",
            )
        case ssl.SSLError():
            return (
                f"no secure connection: {_harmless(error)}",
                "Install the authorities that sign this host's certificate, or correct the url.",
            )
        case OSError():
            return (
                f"no connection: {_harmless(error)}",
                f"Look at the network between here and the provider. {_ADDRESS}.",
            )
        case _:
            return f"no websocket there: {_harmless(error)}", f"{_ADDRESS}."


async def _listen(
    socket: ClientConnection,
    provider: ProviderStream,
    heard: _Heard,
    patience: tuple[float, float],
) -> None:
    """Wait for the echo, then for frames, so many seconds for each."""
    echo_within, seconds = patience
    await socket.send(provider.subscription())
    try:
        async with asyncio.timeout(echo_within) as limit:
            while not heard.complete:
                data = await socket.recv(decode=False)
                if provider.inspect(data).echo:
                    limit.reschedule(asyncio.get_running_loop().time() + seconds)
                    heard.echoed = True
                    heard.missing = provider.missing(data)
                elif len(heard.frames) < FRAMES:
                    heard.frames.append(_line(data))
    except TimeoutError:
        pass  # what was heard until now is judged


def _verdict(subject: str, heard: _Heard, seconds: float) -> Finding:
    frames = tuple(heard.frames)
    if not heard.echoed:
        return fail(
            subject,
            f"connected, but the provider did not confirm the subscription within {seconds:g} s",
            "See what it sent instead, and check vehicles and labels in streams.toml.",
            frames,
        )
    if heard.missing:
        return warn(
            subject,
            f"subscribed, but {heard.missing}",
            "Correct these vehicles and labels in streams.toml, or ask the provider to let this "
            "key see them.",
            frames,
        )
    if not frames:
        return warn(
            subject,
            f"subscribed, the provider confirmed all of it, and no frame came within {seconds:g} s",
            "Parked vehicles are silent, and so are ids that the provider does not know: check the "
            "ids, or check again with a longer --seconds, or when they drive.",
        )
    return ok(subject, f"subscribed, the provider confirmed all of it; {_first(frames)}", frames)


def _first(frames: tuple[str, ...]) -> str:
    return "its first frame:" if len(frames) == 1 else f"its first {len(frames)} frames:"


def _refused(subject: str, status: int) -> Finding:
    if status in _NOT_AUTHORISED:
        return fail(subject, f"the provider refused the credential: HTTP {status}", _CREDENTIAL)
    remedy = f"{_ADDRESS}." if status == _NOT_FOUND else "Try again later, or ask the provider."
    return fail(subject, f"the provider refused the handshake: HTTP {status}", remedy)


def _line(data: bytes) -> str:
    text = redact_text(" ".join(data.decode(errors="backslashreplace").split()))
    shown = "".join(character if character.isprintable() else "�" for character in text)
    return shown if len(shown) <= _LONGEST_LINE else f"{shown[:_LONGEST_LINE]}… ({len(data)} bytes)"


def _harmless(error: Exception) -> str:
    return redact_text(str(error) or type(error).__name__)
