"""What is found of the journals, by `ingress publisher check` and the doctor: they stay as they are."""

from collections.abc import Callable

import pytest

from ingress_runtime.findings import Level
from telematics_publisher.journal.journal import Journal
from telematics_publisher.records import Record
from tests.integration.publisher.edge import Edge

pytestmark = pytest.mark.anyio

Frames = Callable[[int], list[Record]]


async def opened(edge: Edge, publisher: str = "edge-1") -> Journal:
    edge.journals.mkdir()
    path = edge.journals / "acme.journal"
    return await Journal.open(path, workspace="acme", publisher=publisher)


async def left(edge: Edge, records: list[Record]) -> None:
    """Leave a journal of `records` that nobody has open."""
    journal = await opened(edge)
    await journal.append(records)
    await journal.close()


@pytest.mark.usefixtures("driving")
async def test_a_journal_in_use_is_worth_a_look_before_a_start_and_well_for_the_doctor(
    edge: Edge,
) -> None:
    journal = await opened(edge)
    try:
        assert (await edge.check())["journal of acme"].level is Level.WARN
        assert (await edge.examine())["journal of acme"].level is Level.OK
    finally:
        await journal.close()
    free = (await edge.check())["journal of acme"]
    assert free.level is Level.OK
    assert "is free; 0 records in it wait for core" in free.found


async def test_the_records_that_wait_are_counted(edge: Edge, frames: Frames) -> None:
    await left(edge, frames(7))
    before = (edge.journals / "acme.journal").read_bytes()
    finding = (await edge.examine())["journal of acme"]
    assert "7 records in it wait for core, and nobody sends" in finding.found
    assert finding.level is Level.WARN
    assert "`ingress publisher run`" in str(finding.remedy)
    assert (edge.journals / "acme.journal").read_bytes() == before
    about_to_start = (await edge.check(seconds=0.05))["journal of acme"]
    assert about_to_start.level is Level.OK


async def test_one_record_that_waits_is_one_record(edge: Edge, frames: Frames) -> None:
    await left(edge, frames(1))
    found = (await edge.examine())["journal of acme"].found
    assert "is free; 1 record in it waits for core" in found


async def test_somebody_else_s_journal_is_told(edge: Edge) -> None:
    await (await opened(edge, "edge-2")).close()
    finding = (await edge.examine())["journal of acme"]
    assert finding.level is Level.FAIL
    assert "belongs to publisher edge-2 of workspace acme" in finding.found


async def test_a_file_that_is_no_journal_is_told(edge: Edge) -> None:
    edge.journals.mkdir()
    (edge.journals / "acme.journal").write_bytes(b"not a database, " * 100)
    finding = (await edge.examine())["journal of acme"]
    assert finding.level is Level.FAIL
    assert "Do not delete it" in str(finding.remedy)


async def test_a_directory_that_cannot_be_one_is_told(edge: Edge) -> None:
    edge.journals.write_text("a file")
    finding = (await edge.examine())["journals"]
    assert finding.level is Level.FAIL
    assert "PUBLISHER_JOURNAL_DIR" in str(finding.remedy)
    in_the_way, edge.journals = edge.journals, edge.journals / "of" / "fleet"
    finding = (await edge.examine())["journals"]
    assert finding.found == (f"{edge.journals} cannot be written to: {in_the_way}: Not a directory")
