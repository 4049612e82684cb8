import gzip
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from core_api.keys import Role
from ingress_contracts import http
from ingress_contracts.probe import end_of, probe

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.anyio

PATH = "/v1/provider-ingest"


async def test_batch_is_answered_with_the_outcome_of_each_message(api: Any, messages: Any) -> None:
    key = await api.key(Role.INGEST)
    envelopes = [messages.frame("soc", 57.5), messages.frame("odo", 1000.25)]

    answer = await api.send([*envelopes, envelopes[0]], key)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "outcomes": [
            {"index": 0, "id": envelopes[0].id, "outcome": "accepted", "reason": None},
            {"index": 1, "id": envelopes[1].id, "outcome": "accepted", "reason": None},
            {"index": 2, "id": envelopes[0].id, "outcome": "duplicate", "reason": None},
        ]
    }


async def test_structured_and_binary_mode_are_taken_too(api: Any, messages: Any) -> None:
    key = await api.key(Role.INGEST)
    structured, binary = messages.frame("soc", 57.5), messages.frame("soc", 58.5)

    answers = [
        await api.client.post(
            PATH,
            content=http.encode_structured(structured),
            headers={"content-type": http.STRUCTURED, **key},
        )
    ]
    headers, body = http.encode_binary(binary)
    answers.append(await api.client.post(PATH, content=body, headers={**headers, **key}))

    assert [answer.json()["outcomes"][0]["outcome"] for answer in answers] == [
        "accepted",
        "conflict",
    ]


CODINGS = pytest.mark.parametrize(
    ("coding", "compress"), [("gzip", gzip.compress), ("zstd", zstd.compress)]
)


@CODINGS
async def test_compressed_body_is_inflated(
    api: Any, messages: Any, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    key = await api.key(Role.INGEST)
    body = compress(http.encode_batch([messages.frame("soc", 57.5)]))

    answer = await api.client.post(
        PATH,
        content=body,
        headers={"content-type": http.BATCH, "content-encoding": coding, **key},
    )

    assert answer.json()["outcomes"][0]["outcome"] == "accepted"


async def test_malformed_item_is_refused_and_its_neighbours_proceed(
    api: Any, messages: Any
) -> None:
    key = await api.key(Role.INGEST)
    items = json.loads(http.encode_batch([messages.frame("soc", 57.5), messages.frame("odo", 1)]))
    items.insert(1, {"specversion": "1.0", "id": "half"})

    answer = await api.client.post(
        PATH, content=json.dumps(items), headers={"content-type": http.BATCH, **key}
    )

    outcomes = answer.json()["outcomes"]
    assert [outcome["outcome"] for outcome in outcomes] == ["accepted", "refused", "accepted"]
    assert [outcome["index"] for outcome in outcomes] == [0, 1, 2]
    assert outcomes[1]["id"] == "half"
    assert outcomes[1]["reason"]


async def test_message_of_another_workspace_or_publisher_is_refused(
    api: Any, messages: Any
) -> None:
    key = await api.key(Role.INGEST)
    envelopes = [
        messages.frame("soc", 1.5, workspace="other"),
        messages.frame("soc", 2.5, publisher="edge-2"),
        messages.frame("soc", 3.5),
    ]

    assert await api.outcomes(envelopes, key) == ["refused", "refused", "accepted"]


def refused() -> float:
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "core_ingest_envelopes_total" and sample.labels["outcome"] == "refused"
    )


def asked() -> float:
    return REGISTRY.get_sample_value("core_api_probes_total") or 0.0


async def test_question_whether_a_key_is_taken_is_answered_and_counts_as_nothing_refused(
    api: Any,
) -> None:
    key = await api.key(Role.INGEST)
    questions = [probe("acme", "edge-1"), probe("acme", "edge-2"), probe("other", "edge-1")]
    before = refused(), asked()

    answer = await api.send(questions, key)

    outcomes = http.decode_answer(answer.content).outcomes
    assert {one.outcome for one in outcomes} == {"refused"}
    assert [one.reason for one in outcomes] == [
        "unreadable_body",
        "foreign_publisher",
        "foreign_workspace",
    ]
    assert [one.detail for one in outcomes] == [None] * 3
    assert (refused(), asked()) == (before[0], before[1] + 3)


async def test_question_whether_a_key_is_taken_is_answered_with_its_end(api: Any) -> None:
    made = await api.keys.create(Role.INGEST, "acme", "edge-1")
    ends = (await api.keys.rotate(made.id, timedelta(hours=24))).old_ends

    answer = await api.send([probe("acme", "edge-1")], {"x-api-key": made.text})

    (outcome,) = http.decode_answer(answer.content).outcomes
    assert end_of(outcome.detail or "") == ends.replace(microsecond=0)


async def test_empty_batch_is_answered_with_no_outcomes(api: Any) -> None:
    answer = await api.send([], await api.key(Role.INGEST))

    assert answer.json() == {"outcomes": []}


async def test_batch_above_the_limit_is_refused_whole_and_the_limit_is_named(
    open_api: Any, messages: Any
) -> None:
    async with open_api(max_envelopes=2) as api:
        key = await api.key(Role.INGEST)
        answer = await api.send([messages.frame("soc", value / 2) for value in range(3)], key)

    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:telematics-ingress:problem:too-large"
    assert answer.json()["limit"] == 2


@CODINGS
async def test_compression_bomb_is_cut_off(
    open_api: Any, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    async with open_api(max_expanded_bytes=1024 * 1024) as api:
        key = await api.key(Role.INGEST)
        answer = await api.client.post(
            PATH,
            content=compress(b" " * 50_000_000),
            headers={"content-type": http.BATCH, "content-encoding": coding, **key},
        )

    assert answer.status_code == 413
    assert "inflated" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("headers", "body", "status", "slug"),
    [
        ({"content-type": http.BATCH}, b"{", 400, "unreadable-body"),
        ({"content-type": http.BATCH}, b"{}", 400, "unreadable-body"),
        ({"content-type": "text/csv"}, b"a,b", 415, "unsupported-media-type"),
        ({}, b"", 415, "unsupported-media-type"),
        (
            {"content-type": http.BATCH, "content-encoding": "br"},
            b"",
            415,
            "unsupported-media-type",
        ),
        (
            {"content-type": http.BATCH, "content-encoding": "gzip"},
            b"no gzip",
            400,
            "unreadable-body",
        ),
    ],
)
async def test_body_that_cannot_be_read_is_a_problem_with_a_remedy(
    api: Any, headers: dict[str, str], body: bytes, status: int, slug: str
) -> None:
    key = await api.key(Role.INGEST)

    answer = await api.client.post(PATH, content=body, headers={**headers, **key})

    problem = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"urn:telematics-ingress:problem:{slug}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["remedy"]


async def test_clock_ahead_is_a_503_that_says_by_how_much(api: Any, messages: Any) -> None:
    key = await api.key(Role.INGEST)
    future = datetime.now(UTC) + timedelta(hours=2)

    answer = await api.send([messages.frame("soc", 57.5, received=future)], key)

    problem = answer.json()
    assert answer.status_code == 503
    assert problem["type"] == "urn:telematics-ingress:problem:clock-ahead"
    assert 7_000 < problem["ahead_seconds"] < 7_300
    assert problem["skew_seconds"] == 300
    assert "clock" in problem["remedy"]
    assert int(answer.headers["retry-after"]) > 0
