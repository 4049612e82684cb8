"""The way to core, by INGRESS_TRANSPORT: one place that knows which transports there are."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import TypeAlias

from ingress_runtime.kafka.settings import KafkaSettings
from telematics_publisher.breaker import Breaker, Caution
from telematics_publisher.errors import WayClosed
from telematics_publisher.settings import TransportSettings
from telematics_publisher.streams import Workspace
from telematics_publisher.transport import Transport
from telematics_publisher.transports.http import HttpTransport
from telematics_publisher.transports.queue_first import QueueFirst
from telematics_publisher.transports.shadow import Shadow

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
        return self.transport.uses_http

    @asynccontextmanager
    async def opened(self, *, deadline: float, window: int) -> AsyncIterator[Maker]:
        """Yield what makes a transport for each workspace.

        An attempt to publish takes at most `deadline` seconds, by Kafka where HTTP stands by those
        of the settings; `window` of them go on at a time, for each workspace. Raises WayClosed where
        nothing can ever be sent like this, and SettingsError. A peer that is merely away is no
        hindrance.
        """
        http = partial(self._http, deadline=deadline, connections=window + 1)
        if not self.transport.uses_kafka:
            yield http
            return
        need_kafka(self.transport.transport)
        from telematics_publisher.transports import kafka  # noqa: PLC0415 — needs an extra of its own

        alone = not self.transport.uses_http
        patience = deadline if alone else self.transport.queue_deadline_seconds
        async with kafka.opened(self.kafka, deadline=patience, alone=alone) as queue:
            yield queue if alone else self._joint(queue, http)

    def _http(self, workspace: Workspace, *, deadline: float, connections: int) -> HttpTransport:
        return HttpTransport(
            self.transport.base_url, workspace.key, deadline=deadline, connections=connections
        )

    def _joint(self, queue: Maker, http: Maker) -> Maker:
        """Return what makes transports of both ways; the workspaces share the brokers' breaker."""
        settings = self.transport
        breaker = Breaker(
            Caution(
                pause=settings.queue_pause_seconds,
                longest=settings.queue_longest_pause_seconds,
                probes=settings.queue_probes,
            ),
            time.monotonic,
        )

        def queue_first(workspace: Workspace) -> Transport:
            return QueueFirst(
                queue(workspace),
                http(workspace),
                breaker,
                topic=self.kafka.topic,
                workspace=workspace.name,
            )

        def shadow(workspace: Workspace) -> Transport:
            return Shadow(
                http(workspace),
                queue(workspace),
                patience=settings.queue_deadline_seconds,
                workspace=workspace.name,
            )

        return queue_first if settings.transport == "queue-first" else shadow


def need_kafka(transport: str) -> None:
    """Raise WayClosed unless what brings aiokafka is installed."""
    if find_spec("aiokafka") is None:
        raise WayClosed(
            f"INGRESS_TRANSPORT={transport} needs aiokafka. Install it: "
            "pip install 'telematics-ingress[publisher,kafka]', or in a checkout "
            "'.[publisher,kafka]'."
        )
