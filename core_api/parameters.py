"""Parameters that several routes share, each with its rule."""

import re
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query
from pydantic import AwareDatetime, BeforeValidator
from pydantic.functional_validators import AfterValidator

from ingress_contracts.fields import Name, Text

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_MOST_EXTERNAL_IDS = 100
_BARE_PLUS = re.compile(r".* \d\d:\d\d")


def _rfc_3339(text: object) -> object:
    if isinstance(text, str) and not _RFC_3339.fullmatch(text):
        if _BARE_PLUS.fullmatch(text):
            raise ValueError("a + in a URL reads as a space: write it as %2B, or use UTC and Z")
        raise ValueError("must be RFC 3339 with an offset, such as 2026-01-31T12:00:00Z")
    return text


def _utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside of the years 1 to 9999 in UTC") from None


Instant = Annotated[AwareDatetime, BeforeValidator(_rfc_3339), AfterValidator(_utc)]
Workspace = Annotated[Name, Path(description="The workspace's name.")]
LetterWorkspace = Annotated[
    str,
    Path(
        pattern=r"^(_unknown|[A-Za-z0-9][A-Za-z0-9._-]{0,127})$",
        description="The workspace's name; `_unknown` keeps records that named none.",
    ),
]
Vehicle = Annotated[UUID, Path(description="The vehicle's id.")]
ExternalIds = Annotated[
    tuple[Text, ...],
    Query(
        max_length=_MOST_EXTERNAL_IDS,
        description="Only the vehicles that a provider knows by this id; may be repeated.",
        examples=[["arcc_004"]],
    ),
]
Signal = Annotated[
    Text,
    Query(description="A COVESA VSS path, or `{provider}.{label}`.", examples=["Vehicle.Speed"]),
]
From = Annotated[Instant, Query(alias="from", description="First instant, RFC 3339.")]
To = Annotated[Instant, Query(description="The instant before which it ends, RFC 3339.")]
