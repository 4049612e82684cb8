from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ingress_contracts.content_id import content_id
from ingress_contracts.control import Checkpoint, Route
from ingress_contracts.envelope import Envelope
from telematics_publisher.journal.epochs import new_epoch
from telematics_publisher.records import Envelopes, Record, Stored, instant, provider_lane

EPOCH = UUID("0190b0d0-0000-7000-8000-000000000001")
SOURCE = "/viriciti/acme/buses"


def stored(sequence: int, *, timestamped: bool, subject: str | None = "arcc_004") -> Stored:
    lane = provider_lane("viriciti", SOURCE, timestamped=timestamped)
    return Stored(EPOCH, sequence, Record(lane, 1_700_000_000_123_456, subject, b"{}"))


def test_envelope_is_valid_and_carries_its_origin() -> None:
    envelope = Envelopes("acme", "edge-1").of(stored(7, timestamped=True))
    assert Envelope.model_validate(vars(envelope)) == envelope
    assert (envelope.source, envelope.subject, envelope.partitionkey) == (
        SOURCE,
        "arcc_004",
        "arcc_004",
    )
    assert (envelope.publisherid, envelope.publisherepoch, envelope.sequence) == (
        "edge-1",
        EPOCH,
        7,
    )
    assert envelope.receivedtime == datetime(2023, 11, 14, 22, 13, 20, 123_456, tzinfo=UTC)


def test_same_frame_has_the_same_id_whatever_its_number() -> None:
    envelopes = Envelopes("acme", "edge-1")
    one, other = (envelopes.of(stored(number, timestamped=True)) for number in (7, 8))
    assert one.id == other.id == str(content_id(one.type, "viriciti", "acme", b"{}"))


def test_frames_without_a_time_are_separate_occurrences() -> None:
    envelopes = Envelopes("acme", "edge-1")
    one, other = (envelopes.of(stored(number, timestamped=False)) for number in (7, 8))
    assert one.id != other.id
    occurrence = ("edge-1", EPOCH, 7)
    assert one.id == str(content_id(one.type, "viriciti", "acme", b"{}", occurrence))


def test_checkpoint_has_no_number() -> None:
    checkpoint = Checkpoint(number=5, epochs=(), routes=(Route(door="http"),))
    envelope = Envelopes("acme", "edge-1").of_checkpoint(checkpoint, 0)
    assert (envelope.publisherepoch, envelope.sequence) == (None, None)
    assert Checkpoint.model_validate_json(envelope.data) == checkpoint


@given(st.integers(min_value=0, max_value=4_000_000_000_000_000))
def test_instants_are_exact(microseconds: int) -> None:
    assert instant(microseconds) - instant(0) == instant(microseconds) - datetime(
        1970, 1, 1, tzinfo=UTC
    )
    delta = instant(microseconds) - instant(0)
    assert (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds == microseconds


def test_epochs_are_uuids_of_version_7_that_sort_by_time() -> None:
    earlier, later = new_epoch(1_700_000_000_000_000), new_epoch(1_700_000_000_002_000)
    assert (earlier.version, later.version) == (7, 7)
    assert earlier.variant == "specified in RFC 4122"
    assert earlier < later
    assert earlier.int >> 80 == 1_700_000_000_000
