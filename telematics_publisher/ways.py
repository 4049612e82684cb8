"""The way to core, by INGRESS_TRANSPORT: one place that knows which transports there are."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TypeAlias

from ingress_runtime.kafka.settings import KafkaSettings
from telematics_publisher.errors import WayClosed
from telematics_publisher.settings import TransportSettings
from telematics_publisher.streams import Workspace
from telematics_publisher.transport import Transport
from telematics_publisher.transports.http import HttpTransport

Maker: TypeAlias = Callable[[Workspace], Transport]
"""Makes the transport of a workspace, which whoever asked for it closes."""


@dataclass(frozen=True, slots=True)
class Way:
    """What the settings say of the way to core."""

    transport: TransportSettings
    kafka: KafkaSettings = field(default_factory=KafkaSettings)

    @property
    def needs_api_keys(self) -> bool:
        """Whether each workspace must name its key to core's API."""
        return self.transport.transport == "http"

    @asynccontextmanager
    async def opened(self, *, deadline: float, window: int) -> AsyncIterator[Maker]:
        """Yield what makes a transport for each workspace.

        An attempt to publish takes at most `deadline` seconds; `window` of them go on at a time,
        for each workspace. Raises WayClosed where nothing can ever be sent like this, and
        SettingsError. A peer that is merely away is no hindrance.
        """
        async with AsyncExitStack() as resources:
            if self.transport.transport == "kafka":
                need_kafka()
                from telematics_publisher.transports import kafka  # noqa: PLC0415 — needs an extra of its own

                yield await resources.enter_async_context(
                    kafka.opened(self.kafka, deadline=deadline)
                )
            else:
                yield lambda workspace: HttpTransport(
                    self.transport.base_url,
                    workspace.key,
                    deadline=deadline,
                    connections=window + 1,
                )


def need_kafka() -> None:
    """Raise WayClosed unless what brings aiokafka is installed."""
    if find_spec("aiokafka") is None:
        raise WayClosed(
            "INGRESS_TRANSPORT=kafka needs aiokafka. Install it: "
            "pip install 'telematics-ingress[publisher,kafka]', or in a checkout "
            "'.[publisher,kafka]'."
        )
