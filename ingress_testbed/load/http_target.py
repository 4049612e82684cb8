"""Core's HTTP door, asked as the publisher asks it: batches of CloudEvents, gzipped."""

import asyncio
import gzip
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx
from pydantic_core import from_json

from ingress_contracts.control import Route
from ingress_contracts.envelope import Envelope
from ingress_contracts.http import BATCH, REFUSED, decode_answer, encode_batch
from ingress_contracts.probe import TAKEN, probe
from ingress_runtime.redact import redact_text
from ingress_testbed.load.target import Answered, AttemptFailed, Hopeless
from telematics_publisher.retry import parse_retry_after

PATH = "/v1/provider-ingest"

_PATIENCE = {408, 425, 429}
_NOT_AUTHORISED = {401, 403}
_TOO_MUCH = {400, 413, 422}
_SERVER_ERROR = 500
_LONGEST_DETAIL = 300
_FOREIGN = {"foreign_workspace", "foreign_publisher"}


class HttpTarget:
    """Posts to `{api_url}/v1/provider-ingest`, each attempt within `deadline` seconds.

    `sender` is the workspace and the publisher that the key is for.
    """

    name = "http"

    def __init__(  # noqa: PLR0913 — each by its name
        self,
        api_url: str,
        key: str,
        sender: tuple[str, str],
        *,
        deadline: float,
        connections: int,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = api_url.rstrip("/") + PATH
        self._workspace, self._publisher = sender
        self._deadline = deadline
        self._encoding = asyncio.Lock()
        self._client = httpx.AsyncClient(
            headers={
                "authorization": f"Bearer {key}",
                "content-type": BATCH,
                "content-encoding": "gzip",
            },
            timeout=None,  # noqa: S113 — one deadline spans the whole attempt
            limits=httpx.Limits(max_connections=connections),
            transport=transport,
        )

    async def check(self) -> None:
        """Ask core whether it takes what this key will send; nothing is stored. See Target."""
        question = probe(self._workspace, self._publisher)
        try:
            response = await self._post(gzip.compress(encode_batch([question])))
        except AttemptFailed as error:
            raise Hopeless(
                f"{error} Start core there (`ingress api`), or correct --target."
            ) from error
        if response.status_code != httpx.codes.OK:
            self._refuse(response)
            raise Hopeless(
                f"{self._url} answers {_said(response)} That is not core's door: correct --target."
            )
        try:
            ((_, reason),) = _answered(response, 1)
        except AttemptFailed as error:
            raise Hopeless(f"{self._url} is not core's door: {error} Correct --target.") from error
        if reason in _FOREIGN:
            raise Hopeless(
                f"the key is not for workspace {self._workspace} and publisher {self._publisher}. "
                f"Say whose it is with --workspace and --publisher, or {self._make_a_key}"
            )
        if reason != TAKEN:
            raise Hopeless(
                f"{self._url} answers {reason!r} where {TAKEN!r} was expected: upgrade that core, "
                "or take the `ingress load` of its version."
            )

    async def routes(self) -> Sequence[Route]:
        """Return the one route there is. See Target."""
        return (Route(door="http"),)

    async def send(self, batch: Sequence[Envelope]) -> Answered:
        """Post `batch`. See Target."""
        async with self._encoding:  # in turn, as the publisher does: order is worth keeping
            body = await asyncio.to_thread(_encode, batch)
        response = await self._post(body)
        if response.status_code == httpx.codes.OK:
            outcomes = _answered(response, len(batch))
            refused = [index for index, (kind, _) in enumerate(outcomes) if kind == REFUSED]
            reason = outcomes[refused[0]][1] if refused else ""
            return Answered(Counter(kind for kind, _ in outcomes), refused, reason)
        self._refuse(response)
        wish = parse_retry_after(response.headers.get("retry-after"), datetime.now(UTC))
        raise AttemptFailed(f"http_{response.status_code}", _said(response), wish)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(self, body: bytes) -> httpx.Response:
        try:
            async with asyncio.timeout(self._deadline):
                response = await self._client.post(self._url, content=body)
        except TimeoutError as error:
            said = f"no complete answer from {self._url} within {self._deadline:g} s."
            raise AttemptFailed("deadline", said) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            said = f"{self._url} does not answer: {redact_text(repr(error))}."
            raise AttemptFailed("unreachable", said) from error
        # httpx's response and its stream hold each other and both bodies: see the publisher's.
        response.stream = httpx.ByteStream(b"")
        return response

    def _refuse(self, response: httpx.Response) -> None:
        """Raise Hopeless where the same request will be answered the same way for ever."""
        status = response.status_code
        if status in _NOT_AUTHORISED:
            raise Hopeless(f"{self._url} does not take the key: {_said(response)} {self._advice}")
        if status in _TOO_MUCH:
            raise Hopeless(
                f"{self._url} refuses the batch: {_said(response)} Lower --batch, or raise "
                "CORE_API_MAX_ENVELOPES there."
            )
        if status not in _PATIENCE and status < _SERVER_ERROR:
            raise Hopeless(
                f"{self._url} answers {_said(response)} That is not core's door: correct --target."
            )

    @property
    def _advice(self) -> str:
        return f"Check what --api-key-env or --api-key-file names, or {self._make_a_key}"

    @property
    def _make_a_key(self) -> str:
        return (
            "make one where core is: ingress keys create --role ingest "
            f"--workspace {self._workspace} --publisher {self._publisher}"
        )


def _encode(batch: Sequence[Envelope]) -> bytes:
    return gzip.compress(encode_batch(batch), compresslevel=1)


def _answered(response: httpx.Response, expected: int) -> list[tuple[str, str]]:
    """Return outcome and reason of each envelope. Raises AttemptFailed where not all have one."""
    try:
        outcomes = decode_answer(response.content).outcomes
    except ValueError as error:
        raise AttemptFailed("unexpected_answer", "200 without outcomes.") from error
    if [one.index for one in outcomes] != list(range(expected)):
        raise AttemptFailed("unexpected_answer", f"{len(outcomes)} outcomes for {expected}.")
    return [(one.outcome, one.reason or "") for one in outcomes]


def _said(response: httpx.Response) -> str:
    """Return the status and what the answer says of itself, short and as a sentence."""
    try:
        problem = from_json(response.content)
        text = f"{problem['title']}: {problem['detail']}"
    except (ValueError, TypeError, KeyError):
        text = response.text or response.reason_phrase
    text = redact_text(" ".join(text.split()))[:_LONGEST_DETAIL].rstrip(".")
    return f"HTTP {response.status_code}: {text}."
