import json
from uuid import UUID

from core_ingest.providers.viriciti import interpret
from core_ingest.reading import Reading
from ingress_contracts.content_id import content_id
from ingress_contracts.control import Checkpoint, CheckpointEpoch, Route
from ingress_contracts.kinds import CHECKPOINT, PROVIDER_MESSAGE
from ingress_testbed.load.traffic import Traffic

EPOCH = UUID("01930000-0000-7000-8000-000000000001")
AT = 1_767_225_600_123_456  # 2026-01-01T00:00:00.123456Z


def traffic(vehicles: int = 3, seed: int = 1) -> Traffic:
    return Traffic(vehicles, seed, "acme", "load")


def test_report_is_an_envelope_as_a_publisher_makes_it() -> None:
    made = traffic().envelope(2, AT, (EPOCH, 7))

    assert (made.type, made.provider, made.source) == (
        PROVIDER_MESSAGE, "viriciti", "/viriciti/acme/load",
    )  # fmt: skip
    assert (made.workspaceid, made.publisherid) == ("acme", "load")
    assert (made.publisherepoch, made.sequence) == (EPOCH, 7)
    assert made.subject == made.partitionkey == "load-00003"
    assert made.receivedtime.isoformat() == "2026-01-01T00:00:00.123456+00:00"
    assert made.id == str(content_id(PROVIDER_MESSAGE, "viriciti", "acme", made.data))


def test_core_reads_every_report_as_a_value_of_that_vehicle_at_that_time() -> None:
    fleet = traffic()
    for number in range(3_600):  # longer than what a bus has to say before it begins anew
        vehicle = number % 3
        found = interpret(fleet.envelope(vehicle, AT + number * 1_000, (EPOCH, number)).data)
        assert found.external_id == f"load-{vehicle + 1:05}"
        (reading,) = found.readings
        assert isinstance(reading, Reading)
        assert reading.observed == (AT // 1_000 + number) * 1_000


def test_vehicles_say_different_things_and_many_of_them() -> None:
    fleet = traffic(20)
    labels, values = set(), set()
    for number in range(4_000):
        payload = json.loads(fleet.envelope(number % 20, AT, (EPOCH, number)).data)["payload"]
        labels.add(payload["label"])
        values.add(payload["value"])

    assert labels == {"current", "speed", "odo", "voltage", "gps", "power", "soc", "energy"}
    assert len(values) > 1_000


def test_equal_seeds_say_equal_things_and_others_other_ones() -> None:
    def said(seed: int) -> list[bytes]:
        fleet = traffic(seed=seed)
        return [fleet.envelope(number % 3, AT, (EPOCH, number)).data for number in range(100)]

    assert said(1) == said(1)
    assert said(2) != said(1)


def test_checkpoint_is_unnumbered_and_the_publishers() -> None:
    ours = CheckpointEpoch(epoch=EPOCH, first=0, head=9, dropped=((3, 4),), closed=True)
    checkpoint = Checkpoint(number=AT, epochs=(ours,), routes=(Route(door="http"),))

    made = traffic().checkpoint(checkpoint, AT)

    assert (made.type, made.publisherid, made.sequence) == (CHECKPOINT, "load", None)
    assert Checkpoint.model_validate_json(made.data) == checkpoint
