from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from core_api.keys import Role
from core_ingest.dead_letters.desk import desk
from core_ingest.door import Door, Principal
from core_ingest.handler import Delivery, IngestHandler
from core_ingest.providers import Interpreter
from core_ingest.reading import Interpretation, Uninterpretable
from core_ingest.unreadable import Unreadable
from ingress_contracts.envelope import Envelope

pytestmark = pytest.mark.anyio

BASE = "/v1/workspaces/acme/dead-letters"


def broken(_data: bytes) -> Interpretation:
    raise Uninterpretable("not_understood", "this adapter knows no such frame")


BROKEN: Mapping[str, Interpreter] = {"viriciti": broken}


async def fail(api: Any, envelopes: Sequence[Envelope]) -> None:
    """Have a broken adapter make dead letters of these."""
    handler = IngestHandler(api.pool, plugins=BROKEN)
    await handler.handle(envelopes, door=Door.HTTP, principal=Principal())


def problem(answer: Any, status: int, slug: str) -> Any:
    found = answer.json()
    assert answer.status_code == found["status"] == status, found
    assert found["type"] == f"urn:telematics-ingress:problem:{slug}"
    return found


@pytest.mark.parametrize(
    ("role", "workspace", "status"),
    [
        (Role.INGEST, "acme", 403),
        (Role.READ, "acme", 403),
        (Role.ADMIN, "other", 403),
        (Role.ADMIN, "acme", 200),
        (Role.ADMIN, None, 200),
    ],
)
async def test_only_an_admin_of_the_workspace_sees_replays_or_discards_letters(
    api: Any, messages: Any, role: Role, workspace: str | None, status: int
) -> None:
    await fail(api, [messages.frame("soc", 1.0)])
    origin = (await api.pool.fetchval("SELECT origin FROM dead_letters")).replace("edge-1/", "")
    key = await api.key(role, workspace)

    answers = [
        await api.client.get(BASE, headers=key),
        await api.client.get(f"{BASE}/counts", headers=key),
        await api.client.get(f"{BASE}/edge-1/{origin}", headers=key),
        await api.client.post(f"{BASE}/replay", params={"dry_run": True}, headers=key),
        await api.client.post(
            f"{BASE}/discard", params={"reason": "none", "because": "why"}, headers=key
        ),
    ]

    assert [answer.status_code for answer in answers] == [status] * 5
    if status == 403:
        for answer in answers:
            problem(answer, 403, "forbidden")
    assert await api.pool.fetchval("SELECT state FROM dead_letters") == "waiting"


async def test_requests_without_a_key_are_401(api: Any) -> None:
    for answer in (await api.client.get(BASE), await api.client.post(f"{BASE}/replay")):
        problem(answer, 401, "unauthenticated")


async def test_letters_are_listed_page_by_page_and_counted(api: Any, messages: Any) -> None:
    key = await api.key(Role.ADMIN)
    await fail(api, [messages.frame("soc", float(at)) for at in range(5)])

    found: list[Any] = []
    after: dict[str, str] = {}
    while True:
        page = (await api.client.get(BASE, params={"limit": 2, **after}, headers=key)).json()
        found += page["letters"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    counts = (await api.client.get(f"{BASE}/counts", headers=key)).json()

    assert [letter["origin"].rpartition("/")[2] for letter in found] == ["0", "1", "2", "3", "4"]
    assert {(each["reason"], each["provider"], each["state"]) for each in found} == {
        ("not_understood", "viriciti", "waiting")
    }
    assert counts["by"] == "reason"
    assert [(each["value"], each["letters"]) for each in counts["counts"]] == [
        ("not_understood", 5)
    ]


async def test_message_is_shown_whole(api: Any, messages: Any) -> None:
    key = await api.key(Role.ADMIN)
    frame = messages.frame("soc", 1.0)
    await fail(api, [frame])

    path = f"{BASE}/{frame.publisherid}/{frame.publisherepoch}/{frame.sequence}"
    shown = (await api.client.get(path, headers=key)).json()

    assert shown["data"] == frame.data.decode()
    assert shown["data_base64"] is None
    assert shown["attributes"]["id"] == frame.id
    assert [letter["index"] for letter in shown["letters"]] == [-1]
    assert shown["replays"] == []
    problem(await api.client.get(f"{BASE}/edge-1/none/7", headers=key), 404, "not-found")


async def test_replay_is_a_batch_a_request_and_a_dry_run_agrees_with_it(
    api: Any, messages: Any
) -> None:
    key = await api.key(Role.ADMIN)
    await fail(api, [messages.frame("soc", float(at)) for at in range(4)])
    await fail(api, [messages.frame("soc", "no number")])

    done: list[Any] = []
    after: dict[str, str] = {}
    while not done or after:
        said, found = [
            (await api.client.post(f"{BASE}/replay", params=asked | after, headers=key)).json()
            for asked in ({"limit": "3", "dry_run": "true"}, {"limit": "3"})
        ]
        assert said == found | {"dry_run": True, "next": said["next"]}
        done.append(found)
        after = {"after": found["next"]} if found["next"] else {}

    assert [each["messages"] for each in done] == [3, 2]
    assert [each["waiting"] for each in done] == [0, 1]
    rows = await api.pool.fetch("SELECT state FROM dead_letters ORDER BY position")
    assert [row["state"] for row in rows] == ["replayed"] * 4 + ["waiting"]


async def test_discard_needs_a_filter_and_a_reason_and_marks_letters(
    api: Any, messages: Any
) -> None:
    key = await api.key(Role.ADMIN)
    await fail(api, [messages.frame("soc", 1.0)])
    url = f"{BASE}/discard"
    asked = {"reason": "not_understood", "because": "a test vehicle"}

    for wrong in ({"because": "x"}, {"reason": "not_understood"}, asked | {"because": "  "}):
        answer = await api.client.post(url, params=wrong, headers=key)
        problem(answer, 422, "invalid-parameter")
    gone = await api.client.post(url, params=asked, headers=key)
    listed = await api.client.get(BASE, params={"state": "discarded"}, headers=key)

    assert gone.json() == {"messages": 1, "letters": 1}
    assert listed.json()["letters"][0]["note"] == "a test vehicle"
    assert (await api.client.get(BASE, headers=key)).json()["letters"] == []


async def test_replay_beside_another_one_is_409_and_says_when_to_ask_again(
    api: Any, messages: Any
) -> None:
    key = await api.key(Role.ADMIN)
    await fail(api, [messages.frame("soc", 1.0)])

    async with desk(api.pool, "acme"):
        for url in (f"{BASE}/replay", f"{BASE}/discard?reason=x&because=why"):
            answer = await api.client.post(url, headers=key)
            problem(answer, 409, "replay-running")
            assert answer.headers["retry-after"] == "5"
    assert (await api.client.post(f"{BASE}/replay", headers=key)).json()["resolved"] == 1


async def test_records_that_named_no_workspace_are_for_an_admin_of_all(api: Any) -> None:
    await api.key(Role.ADMIN)
    garbage = Unreadable("missing_attribute", "id: Field required", b"\xff", None, ())
    delivery = Delivery([garbage], Door.KAFKA, Principal(), "kafka/telematics.ingress/0", [7])
    every, one = await api.key(Role.ADMIN, None), await api.key(Role.ADMIN, "acme")
    url = "/v1/workspaces/_unknown/dead-letters"

    problem(await api.client.get(url, headers=every), 404, "not-found")
    await IngestHandler(api.pool).handle_together([delivery])

    problem(await api.client.get(url, headers=one), 403, "forbidden")
    found = (await api.client.get(url, headers=every)).json()["letters"]
    shown = (await api.client.get(f"{url}/{found[0]['origin']}", headers=every)).json()
    assert (shown["data"], shown["data_base64"]) == (None, "/w==")


@pytest.mark.parametrize(
    "wrong",
    [
        {"after": "not a cursor"},
        {"limit": "0"},
        {"state": "gone"},
        {"door": "window"},
        {"since": "yesterday"},
        {"reason": "a\x00b"},
    ],
)
async def test_wrong_parameter_is_named(api: Any, wrong: dict[str, str]) -> None:
    key = await api.key(Role.ADMIN)

    found = problem(await api.client.get(BASE, params=wrong, headers=key), 422, "invalid-parameter")

    assert [error["parameter"] for error in found["errors"]] == list(wrong)


async def test_unknown_workspace_is_404_to_an_admin_of_all(api: Any) -> None:
    key = await api.key(Role.ADMIN, None)

    for answer in (
        await api.client.get("/v1/workspaces/nobody/dead-letters", headers=key),
        await api.client.post("/v1/workspaces/nobody/dead-letters/replay", headers=key),
    ):
        assert "nobody" in problem(answer, 404, "not-found")["detail"]
