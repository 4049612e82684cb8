"""ViriCiti's live websocket: one datapoint a frame, and no message id."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import from_json, to_json

from ingress_contracts.fields import Text
from telematics_publisher.explanations import near
from telematics_publisher.provider import OPAQUE, Doubt, Frame, StreamEntry, subject_of
from telematics_publisher.words import counted

URL = "wss://sdk.viriciti.com/api/v2/live"

_DOMAINS = ("vehicles", "chargestations", "incidents")
"""What can be subscribed to. Frames of these types carry the time of their datapoint."""


KNOWN_LABELS = (
    "gps",
    "speed",
    "odo",
    "soc",
    "power",
    "current",
    "voltage",
    "analyses.estimated_range",
)
"""The labels that core has signals for. It keeps all others too, each as a signal of its own name."""


class ViricitiOptions(BaseModel):
    """The keys of a `viriciti` stream.

    ViriCiti names a vehicle by its vid. Labels are those of its API; which of them a vehicle has,
    depends on the vehicle.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    vehicles: dict[Text, Annotated[tuple[Text, ...], Field(min_length=1)]] = Field(
        min_length=1,
        description="What to subscribe to: a list of labels for each vehicle, by the provider's "
        "vehicle id; an id with a dot goes into quotes. Core knows "
        f"{', '.join(f'`{label}`' for label in KNOWN_LABELS)}, and keeps any other label as the "
        "signal `viriciti.LABEL`.",
    )


class ViricitiStream:
    """Knows ViriCiti's address, subscription and frames. See ProviderStream."""

    Options: ClassVar[type[BaseModel]] = ViricitiOptions

    def __init__(self, entry: StreamEntry, credential: SecretStr) -> None:
        self._options = ViricitiOptions.model_validate(entry.options)
        self._base = entry.url or URL
        self._credential = credential

    @property
    def url(self) -> str:
        """The address with the API key in its query, as ViriCiti asks for it: a secret."""
        return f"{self._base}?apiKey={quote(self._credential.get_secret_value(), safe='')}"

    @property
    def headers(self) -> Mapping[str, str]:
        """None: the key is in the address."""
        return {}

    def subscription(self) -> str:
        """Return `{"vehicles": {vid: [label, …]}}`."""
        return to_json({"vehicles": self._options.vehicles}).decode()

    def inspect(self, data: bytes) -> Frame:
        """Read type, vid and whether there is a time. acl and error frames have none of their own.

        The value is not looked at: whether a datapoint makes sense is core's to say.
        """
        try:
            message = from_json(data)
        except ValueError:
            return OPAQUE
        if not isinstance(message, dict):
            return OPAQUE
        payload = message.get("payload")
        if isinstance(payload, dict):
            timestamped = message.get("type") in _DOMAINS and payload.get("time") is not None
            return Frame(subject_of(payload.get("vid")), timestamped)
        echo = "type" not in message and any(domain in message for domain in _DOMAINS)
        return Frame(subject=None, timestamped=False, echo=echo)

    def doubts(self) -> Sequence[Doubt]:
        """Return a doubt for each label that core does not know, with the vehicles that have it."""
        vehicles: dict[str, list[str]] = {}
        for vehicle, labels in self._options.vehicles.items():
            for label in labels:
                if label not in KNOWN_LABELS:
                    vehicles.setdefault(label, []).append(vehicle)
        return [
            Doubt(
                f"`{label}` of {_some(ids)} is no label that core knows: it will be kept as signal "
                f"`viriciti.{label}`.",
                near(label, KNOWN_LABELS),
            )
            for label, ids in vehicles.items()
        ]

    def missing(self, echo: bytes) -> str | None:
        """Compare the echo with the subscription; order, and what is there beyond it, do not count."""
        echoed: Any = from_json(echo).get("vehicles")
        confirmed = echoed if isinstance(echoed, dict) else {}
        lacking = [
            f"{vehicle} ({', '.join(labels)})"
            for vehicle, wanted in self._options.vehicles.items()
            if (labels := _without(wanted, confirmed.get(vehicle)))
        ]
        return f"not confirmed: {'; '.join(lacking)}" if lacking else None


def _without(wanted: tuple[str, ...], confirmed: object) -> list[str]:
    known = confirmed if isinstance(confirmed, list) else []
    return [label for label in wanted if label not in known]


def _some(vehicles: list[str]) -> str:
    first, *others = vehicles
    if not others:
        return first
    return f"{first} and {counted(len(others), 'other')}"
