"""What comes from a queue, which takes nothing back: all of it is settled, or kept as a dead letter."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from core_ingest.door import Door, Principal
from core_ingest.errors import ClockAhead
from core_ingest.handler import Delivery
from core_ingest.ledger.accounting import account
from core_ingest.ledger.compactor import compact
from core_ingest.outcome import Outcome
from core_ingest.unreadable import UNKNOWN_WORKSPACE, Unreadable
from ingress_contracts import kafka, kinds
from ingress_contracts.envelope import Envelope

if TYPE_CHECKING:
    from tests.integration.ingest.conftest import Core, Edge

pytestmark = pytest.mark.anyio

EPOCH = UUID("01930000-0000-7000-8000-000000000001")
TOPIC = "telematics.ingress"
TWO_PARTITIONS = [{"door": "kafka", "topic": TOPIC, "partitions": 2}]


def partition(
    envelopes: Sequence[Envelope | Unreadable], number: int = 0, first: int = 100
) -> Delivery:
    """What a partition holds from offset `first` on."""
    offsets = range(first, first + len(envelopes))
    return Delivery(envelopes, Door.KAFKA, Principal(), f"kafka/{TOPIC}/{number}", offsets)


def garbage(*headers: tuple[str, bytes | None], value: bytes = b"\x00\xff") -> Unreadable:
    said = kafka.claim(headers)
    return Unreadable(
        "missing_attribute",
        "id: Field required",
        value,
        b"\x00key",
        headers,
        said.workspaceid,
        said.publisherid,
        said.publisherepoch,
        said.sequence,
        said.receivedtime,
    )


def named(sequence: int) -> Unreadable:
    """Return a record that says whose it is, and yet is no envelope."""
    return garbage(
        ("ce_workspaceid", b"acme"),
        ("ce_publisherid", b"edge-1"),
        ("ce_publisherepoch", str(EPOCH).encode()),
        ("ce_sequence", str(sequence).encode()),
    )


async def taken(core: "Core", *deliveries: Delivery) -> list[list[str]]:
    found = []
    for result in await core.handler.handle_together(deliveries):
        assert not isinstance(result, ClockAhead)
        found.append([short(outcome) for outcome in result])
    return found


def short(outcome: Outcome) -> str:
    return outcome.kind.value if outcome.reason is None else f"{outcome.kind}: {outcome.reason}"


async def test_unreadable_records_are_dead_letters_between_their_neighbours(
    core: "Core", edge: "Edge"
) -> None:
    batch: list[Envelope | Unreadable]
    batch = [garbage(), edge.frame("speed", 40.0), garbage(), garbage(), edge.frame("soc", 50.0)]
    dead = "dead_lettered: missing_attribute"

    assert await taken(core, partition(batch), partition([garbage()], 1)) == [
        [dead, "accepted", dead, dead, "accepted"],
        [dead],
    ]
    assert await core.dead_letters() == [
        (f"{TOPIC}/0/100", -1, "missing_attribute"),
        (f"{TOPIC}/0/102", -1, "missing_attribute"),
        (f"{TOPIC}/0/103", -1, "missing_attribute"),
        (f"{TOPIC}/1/100", -1, "missing_attribute"),
    ]


async def test_an_unreadable_record_is_kept_whole_under_the_workspace_that_it_names(
    core: "Core",
) -> None:
    strange = garbage(
        ("ce_workspaceid", b"acme"), ("ce_id", b"\xff\x00"), ("x\x00y", None), value=b"\xfe"
    )
    await taken(core, partition([strange, garbage()]))

    rows = await core.pool.fetch(
        "SELECT w.name, d.data, d.attributes, d.door FROM dead_letters d"
        " JOIN workspaces w ON w.id = d.workspace ORDER BY d.origin"
    )
    assert [(row["name"], row["data"], row["door"]) for row in rows] == [
        ("acme", b"\xfe", "kafka"),
        (UNKNOWN_WORKSPACE, b"\x00\xff", "kafka"),
    ]
    assert json.loads(rows[0]["attributes"]) == {
        "key": {"base64": "AGtleQ=="},
        "headers": [["ce_workspaceid", "acme"], ["ce_id", {"base64": "/wA="}], ["x\ufffdy", None]],
    }


async def test_a_legible_number_of_an_unreadable_record_is_settled(
    core: "Core", edge: "Edge"
) -> None:
    first = edge.frame("speed", 40.0)
    edge.sequence += 2
    await taken(core, partition([first, named(1), named(2)]))
    checkpoint = edge.checkpoint(1, routes=[{"door": "kafka", "topic": TOPIC, "partitions": 1}])
    await taken(core, partition([checkpoint], first=103))

    accounting = await account(core.pool, "acme")
    assert (accounting.received, accounting.accepted, accounting.dead_lettered) == (3, 1, 2)
    assert accounting.unaccounted == 0


async def test_a_record_that_comes_again_changes_nothing(core: "Core", edge: "Edge") -> None:
    batch = partition([edge.frame("speed", 40.0), named(1), garbage()])
    await taken(core, batch)
    await taken(core, batch)

    assert await core.count("dead_letters") == 2
    accounting = await account(core.pool, "acme")
    assert (accounting.received, accounting.redelivered) == (2, 2)


async def test_what_another_door_refuses_is_a_dead_letter_here(core: "Core", edge: "Edge") -> None:
    unnumbered = edge.frame("speed", 40.0).model_copy(update={"sequence": None})
    unknown = edge.envelope("telematics.provider.message.v9", b"{}", numbered=False)
    unreadable = edge.envelope(kinds.CHECKPOINT, b"{", numbered=False)

    assert await taken(core, partition([unnumbered, unknown, unreadable])) == [
        [
            "dead_lettered: unnumbered",
            "dead_lettered: unknown_version",
            "dead_lettered: unreadable_body",
        ]
    ]
    assert await core.dead_letters() == [
        (f"{TOPIC}/0/100", -1, "unnumbered"),
        (f"{TOPIC}/0/101", -1, "unknown_version"),
        (f"{TOPIC}/0/102", -1, "unreadable_body"),
    ]


async def test_a_checkpoint_counts_once_it_came_by_every_partition(
    core: "Core", edge: "Edge"
) -> None:
    edge.sequence = 3  # numbers that never came
    checkpoint = edge.checkpoint(1, routes=TWO_PARTITIONS)
    await taken(core, partition([checkpoint], 0))
    assert (await account(core.pool, "acme")).unaccounted == 0

    await taken(core, partition([checkpoint], 1))
    assert (await account(core.pool, "acme")).unaccounted == 3


async def test_a_bad_envelope_in_the_database_spares_unreadable_neighbours(
    core: "Core", edge: "Edge"
) -> None:
    reason = edge.connection("connected")
    poison = reason.model_copy(update={"data": reason.data[:-1] + b', "reason": "\\ud800"}'})
    outcomes = await taken(core, partition([garbage(), poison, edge.frame("speed", 40.0)]))

    assert outcomes[0][0] == "dead_lettered: missing_attribute"
    assert outcomes[0][2] == "accepted"
    await compact(core.pool)
    assert await core.count("dead_letters") == 2
