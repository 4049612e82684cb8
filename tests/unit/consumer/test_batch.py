from types import SimpleNamespace
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_consumer.batch import ANYBODY, Batch, parts
from core_ingest.door import Door
from core_ingest.unreadable import UNKNOWN_WORKSPACE, Unreadable
from ingress_contracts import golden
from ingress_contracts.envelope import Envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.unit.consumer.conftest import FakeRecord

    Make = Callable[[int, int, int], list[FakeRecord]]

TOPIC = "telematics.ingress"
ARRIVED = 5_000_000


def read(records: "Sequence[FakeRecord]") -> Batch:
    batch = Batch(parts(records), ARRIVED)
    for _ in batch.read():
        pass
    return batch


def test_records_are_grouped_by_partition_with_offsets_to_read_again_and_to_commit(
    records: "Make",
) -> None:
    batch = read([*records(2, 10, 3), *records(0, 5, 1)])

    assert batch.size == 4
    assert batch.starts == {(TOPIC, 2): 10, (TOPIC, 0): 5}
    assert batch.offsets == {(TOPIC, 2): 13, (TOPIC, 0): 6}
    assert [(each.route, list(each.offsets)) for each in batch.deliveries] == [
        (f"kafka/{TOPIC}/2", [10, 11, 12]),
        (f"kafka/{TOPIC}/0", [5]),
    ]
    assert {(each.door, each.principal) for each in batch.deliveries} == {(Door.KAFKA, ANYBODY)}


def test_a_delivery_tells_when_each_record_was_written_and_when_it_arrived(records: "Make") -> None:
    ((passage,),) = [
        [each.passage for each in read(records(0, 5, 2)).deliveries],
    ]

    assert passage is not None
    assert (passage.arrived, list(passage.sent)) == (ARRIVED, [1_000_000, 1_000_000])


def test_records_without_a_timestamp_do_not_tell_when_they_were_written(records: "Make") -> None:
    old, new = records(0, 5, 2)
    old.timestamp = -1

    ((passage,),) = [[each.passage for each in read([old, new]).deliveries]]

    assert passage is not None
    assert passage.sent == ()


def test_a_golden_record_is_read_as_an_envelope(records: "Make") -> None:
    (record,) = records(0, 0, 1)
    sample = golden.kafka("v1/kafka-binary")
    record.key, record.value, record.headers = sample.key, sample.value, sample.headers

    ((envelope,),) = [each.envelopes for each in read([record]).deliveries]

    assert isinstance(envelope, Envelope)
    assert envelope.data == sample.value


def test_what_is_no_envelope_keeps_what_is_legible_of_its_origin(records: "Make") -> None:
    (record,) = records(0, 0, 1)
    sample = golden.kafka("v1/kafka-binary")
    record.headers = [each for each in sample.headers if each[0] != "ce_id"]

    ((found,),) = [each.envelopes for each in read([record]).deliveries]

    assert isinstance(found, Unreadable)
    assert found.reason == "missing_attribute"
    assert (found.workspace, found.publisherid, found.sequence) == ("acme", "edge-1", 2**53 + 1)
    assert isinstance(found.publisherepoch, UUID)


@pytest.mark.hostile
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["ce_workspaceid", "ce_sequence", "ce_receivedtime", "ce_specversion", "x"]
            )
            | st.text(),
            st.none() | st.binary(max_size=30) | st.sampled_from([b"acme", b"7", b"1.0"]),
        ),
        max_size=8,
    ),
    st.none() | st.binary(max_size=50),
    st.none() | st.binary(max_size=50),
)
def test_no_record_is_too_strange_to_be_read_or_kept(
    headers: list[tuple[str, bytes | None]], value: bytes | None, key: bytes | None
) -> None:
    record = _record()
    record.headers, record.value, record.key = headers, value, key

    ((found,),) = [each.envelopes for each in read([record]).deliveries]

    assert isinstance(found, Unreadable)
    assert found.data == (value or b"")
    assert "\\u0000" not in found.attributes()
    assert found.workspace in {UNKNOWN_WORKSPACE, found.workspaceid}


def _record() -> "FakeRecord":
    return SimpleNamespace(topic=TOPIC, partition=0, offset=0, timestamp=0)  # type: ignore[return-value]
