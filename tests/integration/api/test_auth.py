from datetime import timedelta
from typing import Any

import pytest

from core_api.keys import Role, generate
from core_ingest.store.identities import vehicle_id

pytestmark = pytest.mark.anyio

READ = "/v1/workspaces/acme/vehicles"


async def test_request_without_a_key_is_401_and_says_how_to_send_one(api: Any) -> None:
    for answer in (await api.client.get(READ), await api.client.post("/v1/provider-ingest")):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["type"] == "urn:telematics-ingress:problem:unauthenticated"
        assert "x-api-key" in answer.json()["remedy"]


@pytest.mark.parametrize(
    ("role", "workspace", "reads", "sends"),
    [
        (Role.INGEST, "acme", 403, 200),
        (Role.READ, "acme", 200, 403),
        (Role.ADMIN, "acme", 200, 403),
        (Role.ADMIN, None, 200, 403),
        (Role.READ, "other", 403, 403),
        (Role.ADMIN, "other", 403, 403),
    ],
)
async def test_role_and_workspace_decide_what_a_key_may_do(
    api: Any, role: Role, workspace: str | None, reads: int, sends: int
) -> None:
    await api.key(Role.READ, "acme")  # the workspace exists
    key = await api.key(role, workspace)

    read = await api.client.get(READ, headers=key)
    sent = await api.send([], key)

    assert (read.status_code, sent.status_code) == (reads, sends)
    for answer in (read, sent):
        if answer.status_code == 403:
            assert answer.json()["type"] == "urn:telematics-ingress:problem:forbidden"


async def test_header_x_api_key_carries_a_key_too(api: Any) -> None:
    made = await api.keys.create(Role.READ, "acme", None)

    answer = await api.client.get(READ, headers={"x-api-key": made.text})

    assert answer.status_code == 200


async def test_wrong_secret_unknown_id_and_nonsense_are_401(api: Any) -> None:
    made = await api.keys.create(Role.READ, "acme", None)
    stranger = generate().text

    for text in (made.text[:-1] + ("A" if made.text[-1] != "A" else "B"), stranger, "ik_", "é"):
        answer = await api.client.get(READ, headers={"x-api-key": text.encode()})
        assert answer.status_code == 401


async def test_revoked_key_is_401(open_api: Any) -> None:
    async with open_api(key_cache_seconds=0) as api:
        made = await api.keys.create(Role.READ, "acme", None)
        before = await api.client.get(READ, headers={"x-api-key": made.text})
        await api.keys.revoke(made.id)
        after = await api.client.get(READ, headers={"x-api-key": made.text})

    assert (before.status_code, after.status_code) == (200, 401)
    assert after.json()["detail"].startswith("This key was revoked at 2")


async def test_rotated_key_and_its_successor_are_valid_at_once_until_the_old_one_ends(
    open_api: Any,
) -> None:
    async with open_api(key_cache_seconds=0) as api:
        old = await api.keys.create(Role.READ, "acme", None)

        async def statuses(*keys: Any) -> list[int]:
            return [
                (await api.client.get(READ, headers={"x-api-key": key.text})).status_code
                for key in keys
            ]

        second = (await api.keys.rotate(old.id, timedelta(hours=24))).key
        both = await statuses(old, second)
        third = (await api.keys.rotate(second.id, timedelta(0))).key
        after = await statuses(old, second, third)

    assert both == [200, 200]
    assert after == [200, 401, 200]


async def test_key_past_its_end_is_told_so_but_only_with_its_secret(open_api: Any) -> None:
    async with open_api(key_cache_seconds=0) as api:
        old = await api.keys.create(Role.READ, "acme", None)
        ends = (await api.keys.rotate(old.id, timedelta(0))).old_ends
        wrong = old.text[:-1] + ("A" if old.text[-1] != "A" else "B")
        told, guessed = [
            (await api.client.get(READ, headers={"x-api-key": text})).json()
            for text in (old.text, wrong)
        ]

    assert told["detail"] == f"This key ended at {ends:%Y-%m-%d %H:%M:%SZ}."
    assert told["remedy"].startswith("Use its successor")
    assert guessed["detail"] == "The API key is unknown or incomplete."


async def test_successor_is_bound_to_the_same_workspace_and_publisher(
    api: Any, messages: Any
) -> None:
    old = await api.keys.create(Role.INGEST, "acme", "edge-1")
    new = (await api.keys.rotate(old.id, timedelta(0))).key
    key = {"x-api-key": new.text}
    envelopes = [messages.frame("soc", 1.5), messages.frame("soc", 2.5, publisher="edge-2")]

    assert await api.outcomes(envelopes, key) == ["accepted", "refused"]
    assert (await api.client.get(READ, headers=key)).status_code == 403


async def test_unknown_workspace_is_404_to_an_admin_of_all(api: Any) -> None:
    key = await api.key(Role.ADMIN, None)

    for path in (
        "/v1/workspaces/nobody/vehicles",
        f"/v1/workspaces/nobody/vehicles/{vehicle_id('acme', 'viriciti', 'bus_1')}",
        "/v1/workspaces/nobody/accounting",
    ):
        answer = await api.client.get(path, headers=key)
        assert answer.status_code == 404
        assert "nobody" in answer.json()["detail"]


async def test_secrets_are_stored_as_digests_only(api: Any) -> None:
    made = await api.keys.create(Role.READ, "acme", None)
    secret = made.text.split("_", 2)[2]

    found = await api.keys.find(made.id)

    assert found is not None
    assert len(found.digest) == 32
    assert secret not in repr(found)
