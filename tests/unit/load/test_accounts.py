from collections.abc import Callable
from typing import Any

import httpx
import pytest

from ingress_testbed.load.accounts import TERMS, ApiAccounts
from ingress_testbed.load.target import Hopeless

pytestmark = pytest.mark.anyio

ZERO = dict.fromkeys(TERMS, 0)


def account(publisher: str, **terms: int) -> dict[str, Any]:
    return {**ZERO, "control": 3, "redelivered": 4, "publisher": publisher, **terms}


async def asked(answer: Callable[[httpx.Request], httpx.Response]) -> dict[str, int]:
    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(transport=transport, base_url="http://core") as client:
        return dict(await ApiAccounts(client, "acme", "load").now())


async def test_only_what_the_publisher_sent_is_counted() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/workspaces/acme/accounting"
        ours, others = account("load", received=5, accepted=5), account("edge-1", received=9)
        return httpx.Response(200, json={"received": 14, "publishers": [others, ours]})

    assert await asked(answer) == {**ZERO, "received": 5, "accepted": 5}


@pytest.mark.parametrize(
    "answer", [httpx.Response(404), httpx.Response(200, json={"publishers": []})]
)
async def test_who_has_sent_nothing_yet_has_an_account_of_zeros(answer: httpx.Response) -> None:
    assert await asked(lambda _: answer) == ZERO


async def test_key_that_may_not_read_is_told_which_one_to_make() -> None:
    with pytest.raises(Hopeless, match="ingress keys create --role read --workspace acme"):
        await asked(lambda _: httpx.Response(403))


async def test_core_that_does_not_answer_is_named() -> None:
    def broken(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(Hopeless, match="--accounting-url"):
        await asked(broken)
