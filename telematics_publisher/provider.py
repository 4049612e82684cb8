"""What a provider's websocket asks of the edge. Providers are plugins: see `ProviderStream`."""

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Annotated, ClassVar, NamedTuple, Protocol, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from ingress_contracts.fields import Name, Provider

GROUP = "telematics_ingress.streams"

_LONGEST_TEXT = 256
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ADDRESS = re.compile(r"wss?://[^\s?#]+")


def _of_websocket(url: str) -> str:
    if not _ADDRESS.fullmatch(url):
        raise ValueError("must begin with ws:// or wss:// and have no query: keys are added to it")
    return url


class Frame(NamedTuple):
    """What the edge needs to know of a frame; its bytes travel on untouched.

    `subject` is the external id of the asset, None where the frame names none. `timestamped` tells
    whether it carries a time of its own: frames without one are separate occurrences even where
    their bytes are equal. An `echo` confirms the subscription and is not journalled.
    """

    subject: str | None
    timestamped: bool
    echo: bool = False


OPAQUE = Frame(subject=None, timestamped=False)
"""A frame of which nothing can be told. It is journalled and sent on: core says what is wrong."""


class Doubt(NamedTuple):
    """A part of a subscription that is legal and probably not `meant`, in words; None: who knows."""

    found: str
    meant: str | None


class StreamEntry(BaseModel):
    """One `[[streams]]` table. Keys beyond these belong to the provider: `model_extra`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: Name = Field(
        description="What the stream is called in logs and in the source of its messages; once in "
        "a workspace."
    )
    workspace: Name = Field(description="The workspace it feeds, one of [workspaces].")
    provider: Provider = Field(description="Whose websocket it is, such as `viriciti`.")
    url: Annotated[str, AfterValidator(_of_websocket)] | None = Field(
        default=None,
        description="Address of the websocket, ws:// or wss://, without a query. For a simulator "
        "or a proxy; without it, the provider's own.",
    )

    @model_validator(mode="after")
    def _source_fits(self) -> Self:
        if len(self.source) > _LONGEST_TEXT:
            raise ValueError(f"{self.source} exceeds {_LONGEST_TEXT} characters: shorten the names")
        return self

    @property
    def source(self) -> str:
        """The CloudEvents source that names the stream."""
        return f"/{self.provider}/{self.workspace}/{self.name}"

    @property
    def options(self) -> Mapping[str, object]:
        """The provider's own keys, such as `vehicles`."""
        return self.model_extra or {}


class ProviderStream(Protocol):
    """The knowledge of one provider's websocket; pure, no I/O. The runtime does the rest.

    A class like this is registered under the provider's name as an entry point of the group
    `telematics_ingress.streams`. It is called with a StreamEntry and the credential; it raises
    pydantic's ValidationError for wrong options, with their keys as locations. `Options` is the
    model of these keys: documents and the advice about misspelt keys are made from it.
    """

    Options: ClassVar[type[BaseModel]]

    def __init__(self, entry: StreamEntry, credential: SecretStr) -> None: ...

    @property
    def url(self) -> str:
        """The address to connect to. It may contain the credential: it is never logged."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Further headers of the handshake."""
        ...

    def subscription(self) -> str:
        """Return the text message that asks for data, sent after every connect."""
        ...

    def inspect(self, data: bytes) -> Frame:
        """Tell what `data` is. Runs for every frame: be quick, and never raise."""
        ...

    def doubts(self) -> Sequence[Doubt]:
        """Return what of the subscription core has no signal for: it may be misspelt."""
        ...

    def missing(self, echo: bytes) -> str | None:
        """Return in words what the echo lacks of the subscription, or None if it has all of it."""
        ...


def installed() -> dict[str, type[ProviderStream]]:
    """Return the stream class of every installed provider, by its name."""
    return {entry.name: entry.load() for entry in entry_points(group=GROUP)}


def subject_of(value: object) -> str | None:
    """Return `value` if it can name an asset: a text of 1 to 256 characters, none of control."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT:
        return None
    if not value.isprintable() and _CONTROL.search(value):
        return None
    return value
