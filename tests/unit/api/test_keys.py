import asyncio
from datetime import UTC, datetime

import pytest

from core_api.keys import Ended, Key, Keyring, NewKey, Role, digest, generate, id_of
from core_api.recent import Recent
from core_ingest.errors import StoreUnavailable

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Store:
    """Keys by id; counts who was looked up."""

    def __init__(self, *keys: Key) -> None:
        self.keys = {key.id: key for key in keys}
        self.asked: list[str] = []

    async def find(self, id_: str) -> Key | None:
        self.asked.append(id_)
        await asyncio.sleep(0)
        return self.keys.get(id_)


def stored(key: NewKey, ended: datetime | None = None, *, revoked: bool = False) -> Key:
    return Key(key.id, Role.READ, "acme", None, key.digest, ended, revoked)


def keyring(store: Store, clock: Clock) -> Keyring:
    return Keyring(store.find, seconds=10, clock=clock)


def test_key_is_an_id_and_256_random_bits_of_which_only_the_digest_is_kept() -> None:
    one, other = generate(), generate()

    prefix, id_, secret = one.text.split("_", 2)
    assert (prefix, id_) == ("ik", one.id)
    assert len(secret) == 43
    assert one.digest == digest(secret)
    assert one.text != other.text


async def test_key_is_looked_up_once_and_then_remembered() -> None:
    key, clock = generate(), Clock()
    store = Store(stored(key))
    ring = keyring(store, clock)

    first = await ring.identify(key.text)
    clock.now += 9.9
    second = await ring.identify(key.text)

    assert first is second is store.keys[key.id]
    assert store.asked == [key.id]


async def test_revocation_works_once_the_memory_is_too_old() -> None:
    key, clock = generate(), Clock()
    store = Store(stored(key))
    ring = keyring(store, clock)
    await ring.identify(key.text)

    end = datetime(2026, 1, 31, tzinfo=UTC)
    store.keys[key.id] = stored(key, ended=end, revoked=True)
    clock.now += 10

    assert await ring.identify(key.text) == Ended(end, revoked=True)


async def test_end_of_a_key_is_told_to_nobody_who_lacks_its_secret() -> None:
    key, end = generate(), datetime(2026, 1, 31, tzinfo=UTC)
    ring = keyring(Store(stored(key, ended=end)), Clock())

    assert await ring.identify(f"ik_{key.id}_{'A' * 43}") is None
    assert await ring.identify(key.text) == Ended(end, revoked=False)


def test_id_is_read_off_a_whole_key_even_a_damaged_one() -> None:
    key = generate()

    assert [id_of(text) for text in (key.id, key.text, key.text[:-9])] == [key.id] * 3
    assert [id_of(text) for text in ("", "ik_", key.text[3:18], key.text[-43:])] == [None] * 4


async def test_wrong_secret_is_nobody_and_does_not_spoil_the_right_one() -> None:
    key, clock = generate(), Clock()
    ring = keyring(Store(stored(key)), clock)
    wrong = f"ik_{key.id}_{'A' * 43}"

    assert await ring.identify(wrong) is None
    assert await ring.identify(key.text) is not None


async def test_unknown_id_is_remembered_as_such_for_a_while() -> None:
    key, clock = generate(), Clock()
    store = Store()
    ring = keyring(store, clock)

    assert [await ring.identify(key.text) for _ in range(3)] == [None] * 3
    assert store.asked == [key.id]
    store.keys[key.id] = stored(key)
    clock.now += 10
    assert await ring.identify(key.text) is not None


async def test_text_that_is_no_key_is_never_looked_up() -> None:
    store = Store()
    ring = keyring(store, Clock())

    for text in ("", "ik_", "ik_0123456789abcdef_short", f"IK_{'0' * 16}_{'A' * 43}"):
        assert await ring.identify(text) is None
    assert store.asked == []


async def test_requests_that_need_the_same_key_share_one_look_up() -> None:
    key = generate()
    store = Store(stored(key))
    ring = keyring(store, Clock())

    found = await asyncio.gather(*(ring.identify(key.text) for _ in range(20)))

    assert None not in found
    assert store.asked == [key.id]


async def test_who_waits_for_a_turn_behind_a_store_that_hangs_is_told_so() -> None:
    async def hang(_id: str) -> Key | None:
        await asyncio.Event().wait()
        return None

    ring = Keyring(hang, seconds=10, clock=Clock(), patience=0.01)
    found = await asyncio.gather(
        *(ring.identify(generate().text) for _ in range(5)), return_exceptions=True
    )

    assert [type(one) for one in found] == [StoreUnavailable] * 5


async def test_flood_of_unknown_ids_does_not_push_a_real_key_out() -> None:
    key = generate()
    store = Store(stored(key))
    ring = keyring(store, Clock())
    await ring.identify(key.text)

    for number in range(2_000):
        await ring.identify(f"ik_{number:016x}_{'A' * 43}")
    await ring.identify(key.text)

    assert store.asked.count(key.id) == 1
    assert len(ring._unknown) == 1_000


def test_memory_keeps_the_newest_and_forgets_the_old() -> None:
    clock = Clock()
    recent: Recent[int] = Recent(2, 10, clock)

    for number in range(3):
        recent.put(str(number), number)
    assert [recent.get(str(number)) for number in range(3)] == [None, 1, 2]
    clock.now += 10
    assert recent.get("2") is None
    assert len(recent) == 1


def test_key_covers_its_workspace_and_one_without_covers_all() -> None:
    bound = Key("0" * 16, Role.READ, "acme", None, b"")
    free = Key("0" * 16, Role.ADMIN, None, None, b"")

    assert (bound.covers("acme"), bound.covers("other")) == (True, False)
    assert free.covers("other")
