"""Field types that several messages share. Texts with control characters never enter the system.

Instants and sequences are built of pydantic-core's parts, so that no Python runs for an envelope.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field, GetPydanticSchema, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

_RFC3339 = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_BEFORE = datetime(3000, 1, 1, tzinfo=UTC)
_DIGITS = r"^(0|[1-9][0-9]{0,18})$"
_SEQUENCE_LIMIT = 2**63


def _instant_schema() -> CoreSchema:
    """Build the schema of `Instant`: pydantic's own datetime would take "1700000000" as one."""
    text = core_schema.chain_schema(
        [core_schema.str_schema(pattern=_RFC3339), _datetime_schema(strict=False)]
    )
    either = core_schema.union_schema(
        [text, _datetime_schema(strict=True)],
        mode="left_to_right",
    )
    return core_schema.custom_error_schema(
        core_schema.json_or_python_schema(json_schema=text, python_schema=either),
        custom_error_type="instant",
        custom_error_message="Input should be an RFC 3339 date-time with offset, 1900 to 2999",
    )


def _datetime_schema(*, strict: bool) -> CoreSchema:
    return core_schema.datetime_schema(
        strict=strict, tz_constraint="aware", ge=_EARLIEST, lt=_BEFORE
    )


def _wire_sequence_schema() -> CoreSchema:
    """Build the schema of `WireSequence`: pydantic's own int would take "1_000", "+5" and " 5"."""
    digits = core_schema.chain_schema(
        [
            core_schema.str_schema(pattern=_DIGITS),
            core_schema.int_schema(lt=_SEQUENCE_LIMIT),
        ]
    )
    number = core_schema.int_schema(strict=True, ge=0, lt=_SEQUENCE_LIMIT)
    return core_schema.union_schema(
        [digits, number],
        mode="left_to_right",
        custom_error_type="sequence",
        custom_error_message="Input should be decimal digits without sign, space or leading zero, "
        "below 2^63",
    )


Name = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
        description="Letters, digits, dot, underscore and hyphen, beginning with a letter or digit; "
        "at most 128.",
    ),
]
Provider = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="A provider's name, such as viriciti."),
]
Text = Annotated[
    str,
    Field(
        min_length=1,
        max_length=256,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]*$",
        description="1 to 256 characters, no control characters.",
    ),
]
Detail = Annotated[
    str, Field(max_length=2_000, description="For people to read; at most 2,000 characters.")
]
MediaType = Annotated[
    str,
    Field(
        max_length=256,
        pattern=r"^[!-~]([ -~]*[!-~])?$",
        description="A media type (RFC 2046) in printable ASCII, such as application/json.",
    ),
]
TraceParent = Annotated[
    str, Field(pattern=r"^[!-~]{1,64}$", description="W3C Trace Context, passed on as it came.")
]
Sequence = Annotated[
    int,
    Field(strict=True, ge=0, lt=_SEQUENCE_LIMIT, description="A number within an epoch, rising."),
]
WireSequence = Annotated[
    int,
    GetPydanticSchema(lambda _source, _handler: _wire_sequence_schema()),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": _DIGITS},
                {"type": "integer", "minimum": 0, "exclusiveMaximum": _SEQUENCE_LIMIT},
            ],
            "description": "A number within an epoch, rising, as a decimal string "
            "(CloudEvents integers have 32 bits); a JSON integer is read too.",
        }
    ),
]
Instant = Annotated[
    datetime,
    GetPydanticSchema(lambda _source, _handler: _instant_schema()),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": _RFC3339,
            "description": "RFC 3339 with offset, 1900 to 2999, floored to microseconds.",
        }
    ),
]
