"""`ingress publisher check` and the edge's part of `ingress doctor` as a whole."""

import json
from typing import TYPE_CHECKING, Literal

import pytest

from ingress_contracts.kinds import CHECKPOINT
from ingress_runtime.findings import Level
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_testbed.servers.capabilities import Capability
from ingress_testbed.servers.kafka import KafkaCluster
from telematics_publisher import check, streams
from telematics_publisher.provider import installed
from telematics_publisher.settings import PublisherSettings, TransportSettings
from telematics_publisher.ways import Way
from tests.integration.publisher.edge import SECRETS, Edge, by_subject

if TYPE_CHECKING:
    from tests.integration.publisher.door import Door

pytestmark = pytest.mark.anyio


@pytest.mark.usefixtures("driving")
async def test_all_is_well_and_the_first_three_frames_are_shown(edge: Edge) -> None:
    found = await edge.check()
    assert {one.level for one in found.values()} == {Level.OK}
    assert found["streams"].found == f"{edge.path}: 1 workspace, 1 stream"
    assert found["core"].found == f"{edge.api_url} is ready"
    assert found["clock"].found == "this machine's clock agrees with core's"
    assert "bound to workspace acme and publisher edge-1" in found["key of acme"].found
    frames = found["stream fleet of acme"].details
    assert [json.loads(frame)["payload"]["value"] for frame in frames] == [0, 1, 2]


@pytest.mark.usefixtures("driving")
async def test_nothing_is_journalled_and_only_an_empty_checkpoint_is_sent(
    edge: Edge, core: "Door"
) -> None:
    await edge.check()
    assert not edge.journals.exists()
    (probe,) = [request for request in core.requests if request.path != "/readyz"]
    (envelope,) = probe.envelopes
    assert (envelope.type, envelope.data) == (CHECKPOINT, b"{}")
    assert (envelope.workspaceid, envelope.publisherid) == ("acme", "edge-1")


async def test_what_is_wrong_in_the_file_does_not_keep_core_from_being_looked_at(
    edge: Edge,
) -> None:
    edge.path.write_text("[workspaces\n")
    found = await edge.check()
    assert found["streams"].level is Level.FAIL
    assert "line 1, column 12" in found["streams"].found
    assert found["core"].level is Level.OK


async def test_an_unknown_stream_is_answered_with_the_names(edge: Edge) -> None:
    finding = (await edge.check(only="busses"))["--stream"]
    assert finding.remedy == "Choose one of: fleet."


@pytest.mark.capability(Capability.REPORTS_MISSING_TOPICS)
async def test_over_kafka_brokers_and_topic_are_looked_at_and_no_key_is_asked_for(
    edge: Edge, kafka: KafkaCluster, topic: str
) -> None:
    environ = {
        **SECRETS,
        "INGRESS_TRANSPORT": "kafka",
        "INGRESS_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "PUBLISHER_STREAMS": str(edge.path),
        "PUBLISHER_JOURNAL_DIR": str(edge.journals),
    }
    del environ["INGEST_KEY"]
    found = await by_subject(check.EXAMINATION.examine({**environ, "INGRESS_KAFKA_TOPIC": topic}))
    assert found["kafka"].level is Level.OK
    assert found[f"topic {topic}"].level is Level.OK
    assert not {"core", "clock", "key of acme"} & found.keys()
    found = await by_subject(
        check.EXAMINATION.examine({**environ, "INGRESS_KAFKA_TOPIC": "not-there"})
    )
    assert found["topic not-there"].level is Level.FAIL
    assert "ingress topics create" in str(found["topic not-there"].remedy)


async def test_brokers_that_do_not_answer_are_told_with_what_to_do(edge: Edge) -> None:
    way = Way(
        TransportSettings(transport="kafka"), KafkaSettings(bootstrap="no-such-host.invalid:9092")
    )
    found = await by_subject(
        check.check(edge.path, PublisherSettings(journal_dir=edge.journals), way, seconds=0.1)
    )
    assert found["kafka"].level is Level.FAIL
    assert "no-such-host.invalid:9092" in found["kafka"].found
    assert "INGRESS_KAFKA_BOOTSTRAP" in str(found["kafka"].remedy)


@pytest.mark.parametrize("transport", ["queue-first", "shadow"])
@pytest.mark.usefixtures("driving")
async def test_both_ways_are_looked_at_where_both_are_taken(
    edge: Edge, kafka: KafkaCluster, topic: str, transport: Literal["queue-first", "shadow"]
) -> None:
    way = Way(
        TransportSettings(transport=transport, api_url=edge.api_url),
        KafkaSettings(bootstrap=kafka.bootstrap, topic=topic),
    )
    found = await by_subject(
        check.check(edge.path, PublisherSettings(journal_dir=edge.journals), way, seconds=0.1)
    )
    subjects = ("kafka", f"topic {topic}", "core", "key of acme")
    assert [found[one].level for one in subjects] == [Level.OK] * 4


async def test_transport_opens_where_one_of_two_ways_is_away(
    edge: Edge, unused_address: str
) -> None:
    way = Way(
        TransportSettings(
            transport="queue-first", api_url=edge.api_url, queue_deadline_seconds=0.5
        ),
        KafkaSettings(bootstrap=unused_address),
    )
    async with way.opened(deadline=10.0, window=1) as transports:
        (acme,) = streams.load(edge.path, SECRETS, installed())
        transport = transports(acme)
        (kafka, http) = await transport.routes()
        await transport.aclose()

    assert (kafka.door, kafka.partitions, http.door) == ("kafka", 1, "http")
