"""Field types that several messages share. Texts with control characters never enter the system."""

from typing import Annotated

from pydantic import AwareDatetime, Field

Name = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
        description="Letters, digits, dot, underscore and hyphen; at most 128.",
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
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="1 to 256 characters, no control characters.",
    ),
]
Sequence = Annotated[int, Field(ge=0, lt=2**63, description="A number within an epoch, rising.")]
Instant = Annotated[AwareDatetime, Field(description="RFC 3339, with offset.")]
