"""Is core there, is its clock ours, and does it take a workspace's key? Nothing is stored there."""

import ssl
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from ingress_contracts.probe import TAKEN, end_of, probe
from ingress_runtime.findings import Finding, clocks, fail, ok, warn
from ingress_runtime.redact import redact_url
from telematics_publisher.checks import keys
from telematics_publisher.errors import NotAuthorised, TransportError
from telematics_publisher.streams import Workspace
from telematics_publisher.transport import Transport
from telematics_publisher.words import short

READY = "/readyz"
SUBJECT = "core"
CLOCK = "clock"

_START_IT = "Start core there (`ingress api`), or correct INGRESS_API_URL"
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""What OpenSSL makes of an answer in plain text, version by version."""
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400

Wall = Callable[[], float]


async def reach(client: httpx.AsyncClient, api_url: str, wall: Wall) -> AsyncIterator[Finding]:
    """Ask core whether it is ready, and compare clocks by the Date of its answer."""
    shown = redact_url(api_url)
    before = wall()
    try:
        answer = await client.get(api_url.rstrip("/") + READY)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        if _speaks_plainly(error):
            yield fail(
                SUBJECT,
                f"{shown} does not answer: it speaks http there, not https",
                "Correct INGRESS_API_URL: http:// in front, or the port where https is spoken.",
            )
            return
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

    Asked with a message that core refuses for what is in it, once it has agreed to whom it is from:
    see ingress_contracts.probe.
    """
    subject = f"key of {workspace.name}"
    make = (
        "Make one with `ingress keys create --role ingest "
        f"--workspace {workspace.name} --publisher {workspace.publisher}`"
    )
    text, source = workspace.key.get_secret_value(), workspace.key_from
    if (flaw := keys.flaw(text)) is not None:
        return fail(subject, f"{source} holds no key: {flaw}", f"Correct it. {make}.")
    try:
        refusals = await transport.publish([probe(workspace.name, workspace.publisher)])
    except NotAuthorised as error:
        return fail(
            subject,
            f"core does not take {keys.id_of(text)} of {source} for workspace {workspace.name}: "
            f"{error}",
            f"`ingress keys list` shows whether that id is there and valid. {make}, put it into "
            f"{source}, and restart the publisher.",
        )
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
        case _ if reason == TAKEN:
            bound = f"workspace {workspace.name} and publisher {workspace.publisher}"
            return _taken(
                subject,
                f"valid, of role ingest, bound to {bound}",
                end_of(refusals[0].detail),
                datetime.now(UTC),
            )
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


def _taken(subject: str, found: str, ends: datetime | None, now: datetime) -> Finding:
    """Return that a key is taken, and until when: a rotated one wants its successor in time."""
    if ends is None:
        return ok(subject, found)
    at = short(ends)
    return warn(
        subject,
        f"{found}, but it ends in {remaining((ends - now).total_seconds())}, at {at}",
        "Put its successor where `api_key` in streams.toml points, and restart the publisher before "
        "then: it reads keys only at its start. `ingress keys rotate` printed the successor.",
    )


def remaining(seconds: float) -> str:
    """Return a length of time in the unit that a person plans with, rounded down."""
    for unit, name, least in ((_DAY, "days", 2), (_HOUR, "h", 2), (_MINUTE, "min", 0)):
        if seconds >= unit * least:
            return f"{seconds // unit:.0f} {name}"
    return "0 min"


def _speaks_plainly(error: BaseException | None) -> bool:
    """Tell whether TLS failed because what came back was none: most likely plain HTTP."""
    while error is not None:
        if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
            return True
        error = error.__cause__ or error.__context__
    return False


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
