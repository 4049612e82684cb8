"""`telematics.canonical.update.v1`: readings that somebody else has interpreted already."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ingress_contracts.fields import Instant, Provider, Text

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Position(BaseModel):
    """A WGS 84 position in degrees."""

    model_config = ConfigDict(frozen=True)

    latitude: Number = Field(ge=-90, le=90)
    longitude: Number = Field(ge=-180, le=180)


class CanonicalReading(BaseModel):
    """One value of one signal at one instant.

    `signal` is a COVESA VSS path, the value in the unit that the signal catalogue gives.
    """

    model_config = ConfigDict(frozen=True)

    signal: Text
    observed: Instant
    value: Number | Text | Position = Field(union_mode="smart")


class CanonicalUpdate(BaseModel):
    """Readings of one asset: (provider, external id) as the provider names it."""

    model_config = ConfigDict(frozen=True)

    provider: Provider
    externalid: Text
    readings: tuple[CanonicalReading, ...] = Field(max_length=10_000)
