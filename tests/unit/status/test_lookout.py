from collections.abc import Callable, Iterator

import pytest

from ingress_runtime.status import lookout
from ingress_runtime.status.lookout import Lookout
from ingress_runtime.status.reading import Reading, parse
from ingress_runtime.status.rendering import Status
from ingress_runtime.status.scraping import Target, Unreachable
from ingress_runtime.status.section import Figure, Section
from ingress_runtime.status.window import Window

EDGE = Target("http://edge/metrics")
CORE = Target("http://core/metrics", "api")


class World:
    """Processes that say what a test wants, and a clock that stands still."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.frames: dict[Target, float | None] = {EDGE: 0.0, CORE: None}
        self.started = 0.0

    def scrape(self, target: Target, now: Callable[[], float]) -> Reading:
        frames = self.frames[target]
        if frames is None:
            raise Unreachable("Connection refused")
        text = (
            f"process_start_time_seconds {self.started}\npublisher_frames_received_total {frames}\n"
        )
        return parse(text, now())


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(lookout, "scrape", world.scrape)
    return world


def count(window: Window) -> Iterator[Section]:
    name = "publisher_frames_received_total"
    yield Section("frames", "frames", (Figure("grown", "grown", window.growth(name)),))


def looking(world: World, *targets: Target) -> Lookout:
    return Lookout(targets or (EDGE,), [count], wall=lambda: world.now, window_seconds=10.0)


def grown(status: Status) -> object:
    return status.sections[0].figures[0].value


def test_the_first_look_is_since_the_start_and_the_next_since_the_first(world: World) -> None:
    look = looking(world)
    world.frames[EDGE] = 100.0
    first = look.look()
    assert (first.seconds, grown(first)) == (None, 100.0)
    world.now, world.frames[EDGE] = 1_002.0, 130.0
    second = look.look()
    assert (second.seconds, grown(second)) == (2.0, 30.0)


def test_the_window_slides(world: World) -> None:
    look = looking(world)
    found = []
    for step in range(9):
        world.now, world.frames[EDGE] = 1_000.0 + 2 * step, float(step)
        status = look.look()
        found.append((status.seconds, grown(status)))
    assert found[1:6] == [(2.0, 1.0), (4.0, 2.0), (6.0, 3.0), (8.0, 4.0), (10.0, 5.0)]
    assert found[6:] == [(10.0, 5.0)] * 3


def test_of_a_process_that_answers_late_the_past_is_unknown(world: World) -> None:
    look = looking(world, EDGE, CORE)
    look.look()
    world.now, world.frames[CORE] = 1_002.0, 5_000.0
    assert grown(look.look()) == 0.0
    world.now, world.frames[CORE] = 1_004.0, 5_007.0
    assert grown(look.look()) == 7.0


def test_a_process_that_has_just_started_counts_from_its_start(world: World) -> None:
    look = looking(world, EDGE, CORE)
    look.look()
    world.now, world.frames[CORE], world.started = 1_002.0, 40.0, 1_001.0
    world.frames[EDGE] = None
    assert grown(look.look()) == 40.0


def test_a_process_that_went_away_keeps_its_name_and_gets_its_window_back(world: World) -> None:
    look = looking(world)
    assert look.look().answers[0].name == "publisher"
    world.now, world.frames[EDGE] = 1_002.0, None
    gone = look.look()
    assert (gone.answers[0].name, gone.answers[0].error) == ("publisher", "Connection refused")
    assert gone.sections == ()
    assert gone.verdict.words == "No process answers: nothing is known."
    world.now, world.frames[EDGE] = 1_004.0, 9.0
    back = look.look()
    assert (back.seconds, grown(back)) == (4.0, 9.0)
