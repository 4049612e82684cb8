"""`telematics.canonical.update.v1`: readings that somebody else has interpreted already."""

from pydantic import BaseModel, ConfigDict, Field

from ingress_contracts.fields import Instant, Provider, Text


class Position(BaseModel):
    """A WGS 84 position in degrees."""

    model_config = ConfigDict(frozen=True)

    latitude: float = Field(ge=-90, le=90, allow_inf_nan=False)
    longitude: float = Field(ge=-180, le=180, allow_inf_nan=False)


class CanonicalReading(BaseModel):
    """One value of one signal at one instant.

    `signal` is a COVESA VSS path, the value in the unit that the signal catalogue gives.
    """

    model_config = ConfigDict(frozen=True)

    signal: Text
    observed: Instant
    value: float | Text | Position = Field(union_mode="smart")


class CanonicalUpdate(BaseModel):
    """Readings of one asset: (provider, external id) as the provider names it."""

    model_config = ConfigDict(frozen=True)

    provider: Provider
    externalid: Text
    readings: tuple[CanonicalReading, ...] = Field(max_length=10_000)
