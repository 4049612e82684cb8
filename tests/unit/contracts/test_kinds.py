import json

import pytest
from pydantic import BaseModel

from ingress_contracts.kinds import (
    CANONICAL_UPDATE,
    CHECKPOINT,
    CONNECTION,
    KINDS,
    PROVIDER_MESSAGE,
    UNDELIVERABLE,
    Kind,
    KindRegistry,
    Role,
    UnknownKind,
)

FAMILY = "telematics.publisher.connection"


class ConnectionV2(BaseModel):
    """A later major, as it might be: `stream` became `name`."""

    name: str


def rename_stream(data: bytes) -> bytes:
    return json.dumps({"name": json.loads(data)["stream"]}).encode()


def mark(data: bytes) -> bytes:
    return data + b"!"


def connection(major: int) -> Kind:
    upcast = None if major == 1 else rename_stream if major == 2 else mark
    body = ConnectionV2 if major > 1 else None
    return Kind(f"{FAMILY}.v{major}", Role.CONTROL, numbered=True, body=body, upcast=upcast)


def registry(majors: int) -> KindRegistry:
    return KindRegistry(tuple(connection(major) for major in range(1, majors + 1)))


def test_version_1_has_two_kinds_of_data_and_three_of_control() -> None:
    roles = {kind.type: (kind.role, kind.numbered) for kind in KINDS}

    assert roles == {
        PROVIDER_MESSAGE: (Role.DATA, True),
        CANONICAL_UPDATE: (Role.DATA, True),
        CONNECTION: (Role.CONTROL, True),
        CHECKPOINT: (Role.CONTROL, False),
        UNDELIVERABLE: (Role.CONTROL, True),
    }


def test_a_type_names_its_family_and_major() -> None:
    kind = KINDS.resolve(PROVIDER_MESSAGE)

    assert (kind.family, kind.major) == ("telematics.provider.message", 1)


def test_a_later_major_joins_without_touching_the_first() -> None:
    kinds = KindRegistry(tuple(KINDS))
    kinds.register(connection(2))

    assert kinds.resolve(CONNECTION) is KINDS.resolve(CONNECTION)
    assert kinds.resolve(f"{FAMILY}.v2").body is ConnectionV2
    assert f"{FAMILY}.v2" not in {kind.type for kind in KINDS}


def test_the_major_before_the_newest_is_read_through_the_upcast() -> None:
    kind, data = registry(2).upcast(f"{FAMILY}.v1", b'{"stream":"buses"}')

    assert kind.type == f"{FAMILY}.v2"
    assert kind.body is not None
    assert kind.body.model_validate_json(data) == ConnectionV2(name="buses")


def test_the_newest_major_is_read_as_it_is() -> None:
    assert registry(2).upcast(f"{FAMILY}.v2", b"{}") == (connection(2), b"{}")


def test_a_third_major_retires_the_first_and_still_reads_the_second() -> None:
    kinds = registry(3)

    assert kinds.upcast(f"{FAMILY}.v2", b"{}") == (connection(3), b"{}!")
    with pytest.raises(UnknownKind, match="send v3 or v2") as caught:
        kinds.upcast(f"{FAMILY}.v1", b"{}")
    assert caught.value.reason == "retired_version"


@pytest.mark.parametrize(
    ("type_", "reason"),
    [
        ("telematics.provider.message.v2", "unknown_version"),
        ("telematics.provider.message.v9999", "unknown_version"),
        ("telematics.provider.message", "unknown_type"),
        ("telematics.provider.message.v01", "unknown_type"),
        ("telematics.provider.other.v1", "unknown_type"),
        ("com.example.other.v1", "unknown_type"),
        ("", "unknown_type"),
        (PROVIDER_MESSAGE + "\n", "unknown_type"),
    ],
)
def test_an_unknown_type_is_refused_with_a_stable_reason(type_: str, reason: str) -> None:
    with pytest.raises(UnknownKind) as caught:
        KINDS.resolve(type_)

    assert caught.value.reason == reason
    assert caught.value.type == type_
    assert repr(type_) in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (Kind("telematics.publisher.v1", Role.CONTROL, numbered=True, body=None), "form"),
        (connection(1), "already"),
        (connection(3), "follow v1"),
        (Kind(f"{FAMILY}.v2", Role.CONTROL, numbered=True, body=None), "upcast"),
    ],
    ids=["malformed", "twice", "gap", "without_upcast"],
)
def test_a_kind_that_would_break_the_line_of_versions_is_not_registered(
    kind: Kind, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        registry(1).register(kind)


def test_only_kinds_known_as_unnumbered_go_without_an_origin() -> None:
    assert not KINDS.needs_origin(CHECKPOINT)
    assert KINDS.needs_origin(PROVIDER_MESSAGE)
    assert KINDS.needs_origin("com.example.other.v1")
