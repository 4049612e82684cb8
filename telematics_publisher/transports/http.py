"""HTTP: batches of CloudEvents (JSON batch format 1.0, 4) posted to core's ingest door."""

import asyncio
import gzip
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import httpx
from pydantic import SecretStr
from pydantic_core import from_json

from ingress_contracts.control import Route
from ingress_contracts.envelope import Envelope
from ingress_contracts.http import BATCH, REFUSED, decode_answer, encode_batch
from ingress_contracts.sending import SENT_TIME, write_sent_time
from ingress_runtime.redact import redact_text
from telematics_publisher.errors import (
    BatchRefused,
    ClockAhead,
    DeadlineExceeded,
    NotAuthorised,
    TransportError,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from telematics_publisher.retry import parse_retry_after
from telematics_publisher.transport import Refusal

PATH = "/v1/provider-ingest"

_REFUSED_FOR_CONTENT = {400: "malformed", 413: "too_large", 422: "malformed"}
_NOT_AUTHORISED = (401, 403)
_PATIENCE = (408, 425, 429)
_SERVER_ERROR = 500
_GZIP_LEVEL = 1  # telemetry shrinks tenfold at the fastest level already
_LONGEST_DETAIL = 500
_CLOCK_AHEAD = "urn:telematics-ingress:problem:clock-ahead"


class HttpTransport:
    """Posts to `{api_url}/v1/provider-ingest`, each attempt within `deadline` seconds in all."""

    name = "http"
    copies: Sequence[Route] = ()

    def __init__(
        self,
        api_url: str,
        api_key: SecretStr,
        *,
        deadline: float,
        connections: int = 8,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._url = api_url.rstrip("/") + PATH
        self._deadline = deadline
        self._now = now
        self._encoding = asyncio.Lock()
        self._client = httpx.AsyncClient(
            headers={
                "authorization": f"Bearer {api_key.get_secret_value()}",
                "content-type": BATCH,
                "content-encoding": "gzip",
            },
            timeout=None,  # noqa: S113 — one deadline spans the whole attempt
            limits=httpx.Limits(max_connections=connections),
        )

    async def routes(self) -> Sequence[Route]:
        """Return the one route there is. See Transport.routes."""
        return (Route(door="http"),)

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        """Post `batch` and return what core refused of it. See Transport.publish."""
        async with self._encoding:  # in turn: a later batch that overtakes makes data stale
            body = await asyncio.to_thread(_encode, batch)  # keeps sockets read meanwhile
        response = await self._post(body)
        if response.status_code == httpx.codes.OK:
            return _refusals(response, batch)
        raise _error(response, self._now())

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(self, body: bytes) -> httpx.Response:
        try:
            async with asyncio.timeout(self._deadline):
                response = await self._client.post(
                    self._url, content=body, headers={SENT_TIME: write_sent_time(self._now())}
                )
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"no complete answer from {self._shown_url} within {self._deadline:g} s"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            kind = type(error).__name__
            raise Unreachable(
                f"{self._shown_url}: {kind}: {redact_text(str(error)) or 'no details'}"
            ) from error
        # httpx's response and its stream hold each other, and with them both bodies: until the
        # garbage collector looked at all it has, a busy publisher grew by megabytes a second.
        response.stream = httpx.ByteStream(b"")
        return response

    @property
    def _shown_url(self) -> str:
        return redact_text(self._url)


def _encode(batch: Sequence[Envelope]) -> bytes:
    return gzip.compress(encode_batch(batch), compresslevel=_GZIP_LEVEL)


def _refusals(response: httpx.Response, batch: Sequence[Envelope]) -> list[Refusal]:
    """Read the outcome of each envelope; an answer that does not speak of all of them is none."""
    try:
        outcomes = decode_answer(response.content).outcomes
    except ValueError as error:
        raise UnexpectedAnswer(f"200 without outcomes: {_detail(response)}") from error
    if [one.index for one in outcomes] != list(range(len(batch))):
        raise UnexpectedAnswer(f"{len(outcomes)} outcomes for {len(batch)} envelopes")
    return [
        Refusal(one.index, one.reason or REFUSED, redact_text(one.detail or "")[:_LONGEST_DETAIL])
        for one in outcomes
        if one.outcome == REFUSED
    ]


def _error(response: httpx.Response, now: datetime) -> TransportError:
    """Translate a status other than 200."""
    status = response.status_code
    if status in _NOT_AUTHORISED:  # what to do about it is known better here, where the key is
        return NotAuthorised(f"HTTP {status}: {_detail(response, advice=False)}")
    said = f"HTTP {status}: {_detail(response)}"
    if status in _REFUSED_FOR_CONTENT:
        return BatchRefused(said, _REFUSED_FOR_CONTENT[status])
    if status in _PATIENCE or status >= _SERVER_ERROR:
        wish = parse_retry_after(response.headers.get("retry-after"), now)
        return _clock_ahead(response, said, wish) or Unavailable(said, wish)
    return UnexpectedAnswer(said)


def _clock_ahead(response: httpx.Response, said: str, wish: float | None) -> ClockAhead | None:
    problem = _problem(response)
    if problem.get("type") != _CLOCK_AHEAD:
        return None
    ahead, skew = problem.get("ahead_seconds"), problem.get("skew_seconds")
    if not isinstance(ahead, int | float) or not isinstance(skew, int | float):
        return None
    return ClockAhead(said, wish, float(ahead), float(skew))


def _problem(response: httpx.Response) -> dict[str, object]:
    """Return the problem document (RFC 9457) that the answer is, or an empty one."""
    try:
        problem = from_json(response.content, allow_inf_nan=False)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _detail(response: httpx.Response, *, advice: bool = True) -> str:
    """Return what the answer says of itself, with its advice or without, harmless and short."""
    problem = _problem(response)
    if problem.get("title") or problem.get("detail"):
        parts = [str(problem[key]) for key in ("title", "detail") if problem.get(key)]
        remedy = problem.get("remedy") if advice else None
        text = " ".join([": ".join(parts), str(remedy or "")])
    else:
        text = response.text or response.reason_phrase
    return redact_text(" ".join(text.split()))[:_LONGEST_DETAIL]
