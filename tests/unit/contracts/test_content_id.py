import hashlib
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress_contracts.content_id import content_id, uuid8

EPOCH = UUID("01943f10-8f7a-7c3e-9d52-5f0c2b1a7e44")
TYPE = "telematics.provider.message.v1"
parts = st.tuples(st.text(), st.text(), st.text(), st.binary())
occurrences = st.none() | st.tuples(st.text(), st.uuids(), st.integers(0, 2**63 - 1))


@pytest.mark.parametrize(
    ("data", "occurrence", "expected"),
    [
        (b"", None, "c4cdd562-6776-89e1-843f-912f1fe6ac25"),
        (b'{"vid":"arcc_004"}', None, "125ab37c-b796-8c14-926e-190f05f0846d"),
        (b'{"vid":"arcc_004"}', ("edge-1", EPOCH, 41), "eacb5f47-b634-84af-9936-20be082a55a8"),
    ],
)
def test_known_messages_keep_their_ids(
    data: bytes, occurrence: tuple[str, UUID, int] | None, expected: str
) -> None:
    assert str(content_id(TYPE, "viriciti", "acme", data, occurrence)) == expected


def test_the_digest_is_sha256_over_length_prefixed_parts() -> None:
    digest = hashlib.sha256(b"\0\0\0\1t\0\0\0\2pp\0\0\0\3www\0\0\0\4data").digest()

    assert content_id("t", "pp", "www", b"data") == uuid8(digest)


@given(parts, occurrences)
def test_a_retry_carries_the_same_id(
    message: tuple[str, str, str, bytes], occurrence: tuple[str, UUID, int] | None
) -> None:
    assert content_id(*message, occurrence) == content_id(*message, occurrence)


@given(st.tuples(parts, occurrences), st.tuples(parts, occurrences))
def test_messages_that_differ_in_any_part_differ_in_id(
    one: tuple[tuple[str, str, str, bytes], tuple[str, UUID, int] | None],
    other: tuple[tuple[str, str, str, bytes], tuple[str, UUID, int] | None],
) -> None:
    assert (one == other) == (content_id(*one[0], one[1]) == content_id(*other[0], other[1]))


def test_bytes_cannot_shift_from_one_part_into_the_next() -> None:
    ids = {
        content_id("ab", "c", "d", b"e"),
        content_id("a", "bc", "d", b"e"),
        content_id("a", "b", "cd", b"e"),
        content_id("a", "b", "c", b"de"),
        content_id("abcd", "", "", b"e"),
    }

    assert len(ids) == 5


def test_each_part_of_an_occurrence_makes_another_id() -> None:
    other_epoch = UUID("01943f10-8f7a-7c3e-9d52-5f0c2b1a7e45")
    occurrences = [
        None,
        ("edge-1", EPOCH, 41),
        ("edge-2", EPOCH, 41),
        ("edge-1", other_epoch, 41),
        ("edge-1", EPOCH, 42),
    ]

    ids = {content_id(TYPE, "viriciti", "acme", b"{}", occurrence) for occurrence in occurrences}

    assert len(ids) == len(occurrences)


@given(st.binary(min_size=16, max_size=32))
def test_every_id_has_the_version_and_variant_of_uuid8(digest: bytes) -> None:
    made = uuid8(digest)
    kept = (1 << 128) - 1 - (0xF << 76) - (0x3 << 62)

    assert made.version == 8
    assert made.variant == "specified in RFC 4122"
    assert made.int & kept == int.from_bytes(digest[:16], "big") & kept
