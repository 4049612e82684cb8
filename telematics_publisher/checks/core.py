"""Is core there, is its clock ours, and does it take a workspace's key? Nothing is stored there."""

import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from ingress_contracts.content_id import content_id
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import CHECKPOINT
from ingress_runtime.findings import Finding, clocks, fail, ok
from ingress_runtime.redact import redact_url
from telematics_publisher.errors import NotAuthorised, TransportError
from telematics_publisher.streams import Workspace
from telematics_publisher.transport import Transport

READY = "/readyz"
SUBJECT = "core"
CLOCK = "clock"

_START_IT = "Start core there (`ingress api`), or correct INGRESS_API_URL"
_EMPTY = b"{}"
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_TAKEN_FOR_OURS = "unreadable_body"

Wall = Callable[[], float]


async def reach(client: httpx.AsyncClient, api_url: str, wall: Wall) -> AsyncIterator[Finding]:
    """Ask core whether it is ready, and compare clocks by the Date of its answer."""
    shown = redact_url(api_url)
    before = wall()
    try:
        answer = await client.get(api_url.rstrip("/") + READY)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        yield fail(
            SUBJECT,
            f"{shown} does not answer: {reason}",
            f"{_START_IT}; look at firewalls, proxies and certificates between here and there.",
        )
        return
    yield _readiness(shown, answer)
    date = _date(answer.headers.get("date"))
    if date is not None:
        yield clocks(CLOCK, ahead(before, wall(), date), "core's")


def ahead(before: float, after: float, date: float) -> float:
    """Return how far our clock is ahead of core's, in seconds; negative: behind.

    `before` and `after` are our times around an answer whose Date, in whole seconds, is `date`.
    """
    if before > date + 1.0:
        return before - (date + 1.0)
    return min(0.0, after - date)


async def key(transport: Transport, workspace: Workspace) -> Finding:
    """Find out whether core takes messages of this workspace and publisher under the given key.

    Asked with a message that core refuses for what is in it, once it has agreed to whom it is from.
    """
    subject = f"key of {workspace.name}"
    make = (
        "Make one with `ingress keys create --role ingest "
        f"--workspace {workspace.name} --publisher {workspace.publisher}`"
    )
    try:
        refusals = await transport.publish([_probe(workspace)])
    except NotAuthorised as error:
        return fail(subject, f"core does not take it: {error}", f"{make}, and refer to it.")
    except TransportError as error:
        return fail(
            subject,
            f"core did not say whether it takes it: {error}",
            "Mend what the answer speaks of, then check again.",
        )
    reason = refusals[0].reason if refusals else None
    match reason:
        case "foreign_workspace":
            found = f"it is valid, but for another workspace than {workspace.name}"
        case "foreign_publisher":
            found = f"it is valid, but for another publisher than {workspace.publisher}"
        case _ if reason == _TAKEN_FOR_OURS:
            bound = f"workspace {workspace.name} and publisher {workspace.publisher}"
            return ok(subject, f"valid, of role ingest, bound to {bound}")
        case _:
            return fail(
                subject,
                f"core answers the question in its own way: {reason or 'it agrees'}",
                "Install the same version of telematics-ingress here and there.",
            )
    return fail(
        subject,
        found,
        f"Correct `publisher` or the workspace's name in streams.toml, or use its own key. {make}; "
        "`ingress keys list` shows what the others are bound to.",
    )


def wall_clock() -> float:
    """Return the time of day in seconds since 1970."""
    return time.time()


def _probe(workspace: Workspace) -> Envelope:
    """Return a checkpoint that says nothing. Its time is long past: clocks are compared elsewhere."""
    return Envelope(
        id=str(content_id(CHECKPOINT, "publisher", workspace.name, _EMPTY)),
        source=f"/publisher/{workspace.name}/{workspace.publisher}",
        type=CHECKPOINT,
        datacontenttype="application/json",
        workspaceid=workspace.name,
        receivedtime=_LONG_AGO,
        publisherid=workspace.publisher,
        data=_EMPTY,
    )


def _readiness(shown: str, answer: httpx.Response) -> Finding:
    try:
        said = answer.json()
    except ValueError:
        said = None
    if not isinstance(said, dict) or not ({"ready", "objections"} & said.keys()):
        return fail(
            SUBJECT,
            f"{shown} is something else: it answers {READY} with HTTP {answer.status_code}",
            f"{_START_IT}: it is the base URL, without /v1.",
        )
    if answer.is_success:
        return ok(SUBJECT, f"{shown} is ready")
    return fail(
        SUBJECT,
        f"{shown} is not ready: {said.get('detail')}",
        "Mend it on core's machine: `ingress doctor` there says more.",
    )


def _date(header: str | None) -> float | None:
    try:
        return parsedate_to_datetime(header).timestamp() if header else None
    except ValueError:
        return None
