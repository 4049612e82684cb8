import inspect
from collections.abc import Iterator

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from core_api import ingest, probes, views


def calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for needed in dependant.dependencies:
        yield from calls(needed)


def in_a_thread(call: object) -> bool:
    """Whether FastAPI runs this in a thread: all that is not async."""
    return not (
        inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)
    )


def test_no_request_takes_a_turn_through_a_thread_where_others_could_overtake_it() -> None:
    routes = [
        route
        for module in (ingest, views, probes)
        for route in module.router.routes
        if isinstance(route, APIRoute)
    ]
    found = [call for route in routes for call in calls(route.dependant)]

    assert len(found) > len(routes)
    assert [call for call in found if in_a_thread(call)] == []
