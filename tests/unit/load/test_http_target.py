import gzip
import json
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from ingress_testbed.load.http_target import HttpTarget
from ingress_testbed.load.schedule import Due
from ingress_testbed.load.target import AttemptFailed, Hopeless
from tests.unit.load.fakes import envelope

pytestmark = pytest.mark.anyio

KEY = "ik_0123456789_secretsecret"
BATCH = [envelope(Due(0.0, 0, number), number) for number in range(3)]

Reply = httpx.Response | httpx.HTTPError
Open = Callable[[Reply], HttpTarget]


@pytest.fixture
def requests() -> list[httpx.Request]:
    return []


@pytest.fixture
async def opened(requests: list[httpx.Request]) -> AsyncIterator[Open]:
    targets = []

    def open_(reply: Reply) -> HttpTarget:
        def answer(request: httpx.Request) -> httpx.Response:
            requests.append(request)
            if isinstance(reply, httpx.HTTPError):
                raise reply
            return reply

        made = HttpTarget(
            "http://core/",
            KEY,
            ("acme", "load"),
            deadline=5,
            connections=2,
            transport=httpx.MockTransport(answer),
        )
        targets.append(made)
        return made

    yield open_
    for each in targets:
        await each.aclose()


def outcomes(*said: tuple[str, str | None]) -> httpx.Response:
    items = [
        {"index": at, "id": f"id-{at}", "outcome": outcome, "reason": reason}
        for at, (outcome, reason) in enumerate(said)
    ]
    return httpx.Response(200, json={"outcomes": items})


async def test_batch_travels_as_the_publisher_sends_it(
    opened: Open, requests: list[httpx.Request]
) -> None:
    answer = await opened(
        outcomes(("accepted", None), ("refused", "too_large"), ("stale", None))
    ).send(BATCH)

    assert answer.outcomes == {"accepted": 1, "refused": 1, "stale": 1}
    assert (list(answer.refused), answer.reason) == ([1], "too_large")
    (request,) = requests
    assert str(request.url) == "http://core/v1/provider-ingest"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    sent = json.loads(gzip.decompress(request.content))
    assert [one["sequence"] for one in sent] == ["0", "1", "2"]


@pytest.mark.parametrize("status", [429, 503, 500, 408])
async def test_answer_that_asks_for_patience_may_be_tried_again(opened: Open, status: int) -> None:
    problem = {"title": "Overloaded", "detail": "try later"}
    target = opened(httpx.Response(status, json=problem, headers={"retry-after": "3"}))

    with pytest.raises(AttemptFailed, match="Overloaded: try later") as failed:
        await target.send(BATCH)

    assert failed.value.cause == f"http_{status}"
    assert failed.value.retry_after == 3.0


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (httpx.ConnectError("refused"), "unreachable"),
        (httpx.Response(200, text="<html>"), "unexpected_answer"),
        (outcomes(("accepted", None)), "unexpected_answer"),
    ],
)
async def test_other_trouble_has_a_cause_of_its_own(opened: Open, reply: Reply, cause: str) -> None:
    with pytest.raises(AttemptFailed) as failed:
        await opened(reply).send(BATCH)

    assert failed.value.cause == cause


@pytest.mark.parametrize(
    ("reply", "remedy"),
    [
        (httpx.Response(401, json={"title": "No", "detail": "such key"}), "ingress keys create"),
        (httpx.Response(403, text="no"), "--api-key-env"),
        (httpx.Response(413, text="too many"), "Lower --batch"),
        (httpx.Response(404, text="nothing here"), "correct --target"),
        (httpx.Response(302, headers={"location": "/login"}), "correct --target"),
    ],
)
async def test_what_will_never_succeed_says_what_to_do(
    opened: Open, reply: Reply, remedy: str
) -> None:
    target = opened(reply)
    with pytest.raises(Hopeless, match=remedy):
        await target.send(BATCH)
    with pytest.raises(Hopeless, match=remedy):
        await target.check()


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (httpx.ConnectError("refused"), "ingress api"),
        (outcomes(("refused", "foreign_workspace")), "--workspace acme --publisher load"),
        (outcomes(("refused", "foreign_publisher")), "Say whose it is"),
        (outcomes(("accepted", None)), "upgrade that core"),
        (httpx.Response(200, text="welcome"), "Correct --target"),
        (httpx.Response(503, text="busy"), "HTTP 503: busy"),
    ],
)
async def test_check_says_why_a_load_cannot_be_sent(opened: Open, reply: Reply, says: str) -> None:
    with pytest.raises(Hopeless) as told:
        await opened(reply).check()

    assert says in told.value.message
    assert KEY not in told.value.message


async def test_check_is_content_where_core_takes_the_key(
    opened: Open, requests: list[httpx.Request]
) -> None:
    await opened(outcomes(("refused", "unreadable_body"))).check()

    (question,) = json.loads(gzip.decompress(requests[0].content))
    assert (question["workspaceid"], question["publisherid"]) == ("acme", "load")
