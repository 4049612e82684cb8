"""Core's topic, written to by the publisher's own transport and producer."""

from collections.abc import Sequence

from ingress_contracts.control import Route
from ingress_contracts.envelope import Envelope
from ingress_runtime.findings import Level
from ingress_runtime.kafka.examination import examine
from ingress_runtime.kafka.producer import Producer
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_testbed.load.target import Answered, AttemptFailed, Hopeless
from telematics_publisher.errors import BatchRefused, NotAuthorised, TransportError, Unavailable
from telematics_publisher.transports.kafka import KafkaTransport

_LOOK_SECONDS = 10.0


class KafkaTarget:
    """Writes to the topic of `settings`, each attempt within `deadline` seconds."""

    name = "kafka"

    def __init__(self, settings: KafkaSettings, workspace: str, *, deadline: float) -> None:
        self._settings = settings
        self._producer = Producer(settings, deadline=deadline)
        self._transport = KafkaTransport(self._producer, settings.topic, workspace=workspace)

    async def check(self) -> None:
        """Look at the brokers and the topic. See Target."""
        for finding in await examine(self._settings, _LOOK_SECONDS):
            if finding.level is Level.FAIL:
                remedy = (finding.remedy or "").replace("INGRESS_KAFKA_BOOTSTRAP", "--kafka")
                raise Hopeless(f"{finding.subject}: {finding.found}. {remedy}")
        await self.routes()  # connects: the first message is not to wait for that

    async def routes(self) -> Sequence[Route]:
        """Return the topic with its partitions. See Target."""
        try:
            return await self._transport.routes()
        except TransportError as error:
            raise _meaning(error) from error

    async def send(self, batch: Sequence[Envelope]) -> Answered:
        """Write `batch`; all replicas in sync have it then. See Target."""
        try:
            await self._transport.publish(batch)
        except TransportError as error:
            raise _meaning(error) from error
        return Answered()

    async def aclose(self) -> None:
        """Let go of the brokers."""
        await self._producer.stop()


def _meaning(error: TransportError) -> Exception:
    if isinstance(error, NotAuthorised):
        return Hopeless(
            f"{error}. Correct INGRESS_KAFKA_SASL_*, or ask for the ACLs Describe and Write."
        )
    if isinstance(error, BatchRefused):
        return Hopeless(f"the brokers refuse the batch: {error}. Lower --batch.")
    wish = error.retry_after if isinstance(error, Unavailable) else None
    return AttemptFailed(error.cause, str(error), wish)
