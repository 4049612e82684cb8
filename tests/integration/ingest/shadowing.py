"""A publisher that shadows, as core meets it: copies by a queue's partitions, and the report."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from core_ingest.door import Door, Principal
from core_ingest.handler import Delivery
from core_ingest.ledger.compactor import compact
from core_ingest.ledger.shadow_report import PublisherShadow, ShadowReport, report
from ingress_contracts.envelope import Envelope

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

TOPIC = "fleet"
COPIES = ({"door": "kafka", "topic": TOPIC, "partitions": 2},)
TABLES = ("shadow_publishers", "shadow_checkpoints", "shadow_epochs", "shadow_arrivals")


async def copied(core: "Core", *envelopes: Envelope, partition: int = 0) -> None:
    """Hand over what a partition holds next."""
    delivery = Delivery(
        envelopes, Door.KAFKA, Principal(), f"kafka/{TOPIC}/{partition}", range(len(envelopes))
    )
    (result,) = await core.handler.handle_together([delivery])
    assert isinstance(result, list)


async def everywhere(core: "Core", checkpoint: Envelope) -> None:
    """Let a checkpoint come over HTTP, then by both partitions."""
    await core.take(checkpoint)
    for partition in (0, 1):
        await copied(core, checkpoint, partition=partition)


def frames(edge: "Edge", count: int) -> list[Envelope]:
    return [edge.frame("speed", float(at), received=datetime.now(UTC)) for at in range(count)]


async def told(core: "Core", *, least: int = 1, **more: Any) -> ShadowReport:
    now: datetime = await core.pool.fetchval("SELECT now()")
    window = {"since": now - timedelta(hours=1), "until": now + timedelta(minutes=1)}
    (found,) = await report(core.pool, "acme", least=least, **(window | more))
    return found


async def of_edge(core: "Core", **more: Any) -> PublisherShadow:
    (found,) = (await told(core, **more)).publishers
    return found


async def shadowing(core: "Core", edge: "Edge") -> None:
    """Begin with a checkpoint that has come everywhere, so that copies are known to be sent."""
    await everywhere(core, edge.checkpoint(0, copies=COPIES))
    await compact(core.pool)


async def rows(core: "Core") -> list[int]:
    return [await core.count(table) for table in TABLES]


async def age(core: "Core", by: timedelta) -> None:
    """Let everything that is kept for the report have happened earlier."""
    for table, columns in {
        "shadow_publishers": ("copying", "barrier", "kept_from"),
        "shadow_checkpoints": ("arrived",),
        "shadow_epochs": ("touched",),
        "shadow_arrivals": ("slot",),
    }.items():
        changes = ", ".join(f"{column} = {column} - $1::interval" for column in columns)
        await core.pool.execute(f"UPDATE {table} SET {changes}", by)  # noqa: S608 — ours
