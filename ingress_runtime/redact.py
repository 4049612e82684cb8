"""Keep secrets out of what people read: logs, errors, metrics.

Providers put API keys into URLs, so the value of every query parameter is treated as a secret, as
are passwords in a URL's userinfo, credentials in headers, and everything that was given to
`remember`.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

HIDDEN = "***"

_SHORTEST_REMEMBERED = 6  # a shorter secret would blot out ordinary words

_USERINFO = re.compile(
    r"(?P<head>\b[a-z][a-z0-9+.-]*://[^\s/?#:@'\"]*):[^\s/?#'\"]*@", re.IGNORECASE
)
_PARAMETER = re.compile(r"(?P<head>[?&][^\s=&?#'\"<>]+=)[^\s&#'\"<>]*")
_CREDENTIAL = re.compile(r"\b(?P<head>Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE)
_HEADER = re.compile(
    r"(?P<head>\b(?:x-api-key|api[_-]?key|password|secret)\b['\"]?\s*[:=]\s*['\"]?)[^\s,;&'\"}\])]+",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?:^|[_-])(?:api_?key|authorization|cookie|credential|password|secret|token)$")

_remembered: set[str] = set()  # process-wide, as logging itself is


def remember(secret: str) -> None:
    """Hide `secret` from now on wherever `redact_text` meets it, as it is or percent-encoded.

    The password of a URL counts as a secret of its own. Secrets below six characters are left
    alone: hiding them would blot out ordinary words.
    """
    for part in (secret, _password(secret)):
        for form in (part, quote(part, safe="")):
            if len(form) >= _SHORTEST_REMEMBERED:
                _remembered.add(form)


def _password(secret: str) -> str:
    """Return the password of a URL, nothing where it has none or is not readable as one."""
    try:
        return (urlsplit(secret).password if "://" in secret else None) or ""
    except ValueError:
        return ""


def redact_url(url: str) -> str:
    """Return `url` without its query values and its userinfo password; names stay readable."""
    return _PARAMETER.sub(rf"\g<head>{HIDDEN}", _USERINFO.sub(rf"\g<head>:{HIDDEN}@", url))


def redact_text(text: str) -> str:
    """Return `text` with URLs, query strings, credentials and remembered secrets made harmless."""
    text = _CREDENTIAL.sub(rf"\g<head> {HIDDEN}", redact_known(text))
    return _HEADER.sub(rf"\g<head>{HIDDEN}", text)


def redact_known(text: str) -> str:
    """Return `text` without remembered secrets and what URLs carry: for sentences of our own.

    `redact_text` would take `api_key: is missing` for a header, and hide a word of it.
    """
    for secret in sorted(_remembered, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return redact_url(text)


def redact_field(name: str, value: object) -> object:
    """Return `value` fit for a log; under a name such as `api_key` it is hidden whole."""
    return HIDDEN if _NAME.search(name.lower()) else redact_value(value)


def redact_value(value: object) -> object:
    """Return `value` fit for a log: containers by item, numbers as they are, the rest as text."""
    match value:
        case None | bool() | int() | float():
            return value
        case bytes():
            return redact_text(value.decode(errors="backslashreplace"))
        case Mapping():
            return {str(name): redact_field(str(name), item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [redact_value(item) for item in value]
        case _:
            return redact_text(str(value))
