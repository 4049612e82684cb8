"""The broker fails in the middle of a run, for as long as it takes to see what becomes of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

from ingress_testbed.demo.samples import Sample
from ingress_testbed.servers.capabilities import Capability
from ingress_testbed.servers.kafka import KafkaCluster

Kind: TypeAlias = Literal["none", "hang", "broker"]
"""What happens: nothing; it hangs; or it is killed, where it keeps what it acknowledged."""

_AFTER = 1 / 3
_SECONDS = 4.0


@dataclass(slots=True)
class Outage:
    """Follows the samples of a run, and does harm once a third of it is over; mends it later.

    It lasts until traffic has fallen over, and some seconds at least. `seconds` are the run's, if
    they are known; `say` tells people.
    """

    harm: Callable[[], None]
    mend: Callable[[], None]
    words: str
    seconds: float | None
    say: Callable[[str], None]
    _begun: float | None = None
    over: bool = False

    @classmethod
    def of(
        cls,
        kind: Kind,
        cluster: KafkaCluster | None,
        seconds: float | None,
        say: Callable[[str], None],
    ) -> Self | None:
        """Return the outage of a cluster's first broker, or None where there is none of ours."""
        if kind == "none" or cluster is None or not cluster.brokers:
            return None
        broker = cluster.brokers[0]
        if kind == "broker" and Capability.SURVIVES_KILL in cluster.capabilities:
            return cls(broker.kill, broker.start, "is killed (SIGKILL)", seconds, say)
        return cls(broker.hang, broker.resume, "hangs (SIGSTOP)", seconds, say)

    async def follow(self, sample: Sample) -> None:
        """Do what is due at this sample."""
        if self.over:
            return
        if self._begun is None:
            if self._due(sample):
                self._begun = sample.at
                self.say(f"the broker {self.words}: traffic has to go over HTTP")
                await asyncio.to_thread(self.harm)
        elif sample.failovers and sample.at - self._begun >= _SECONDS:
            await self.end()
            self.say("the broker is back: traffic returns to it once it has answered some probes")

    async def end(self) -> None:
        """Mend what was harmed."""
        if self._begun is not None and not self.over:
            self.over = True
            await asyncio.to_thread(self.mend)

    def _due(self, sample: Sample) -> bool:
        if not sample.settled:
            return False
        by_time = self.seconds is not None and sample.at >= self.seconds * _AFTER
        return by_time or sample.sent >= sample.expected * _AFTER
