"""Redpanda in a container, for those who ask for it: nothing is chosen because Docker is there."""

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec

from ingress_testbed.servers.errors import NoServerError, ServerFailedError

_START_SECONDS = 60


@contextmanager
def running() -> Iterator[str]:
    """Give the address of a broker in a container of its own, which is removed at the end.

    Raises NoServerError where there is no Docker or no testcontainers, ServerFailedError where
    the container does not start.
    """
    if find_spec("testcontainers") is None or find_spec("docker") is None:
        raise NoServerError(
            "Redpanda runs through testcontainers, which is not installed: "
            "pip install 'testcontainers>=4.13' (make test has it)"
        )
    if objection := _docker_objects():
        raise NoServerError(f"Redpanda needs Docker, and none answers here: {objection}")
    container = import_module("testcontainers.community.kafka").RedpandaContainer()
    try:
        address: str = container.start(timeout=_START_SECONDS).get_bootstrap_server()
    except Exception as error:
        container.stop()
        raise ServerFailedError(f"the container of Redpanda did not start: {error}") from error
    try:
        yield address
    finally:
        container.stop()


def _docker_objects() -> str | None:
    """Return why Docker is not to be had, or None where it answers."""
    docker = import_module("docker")
    with warnings.catch_warnings():
        # Where nobody answers, the library leaves its socket to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            docker.from_env().close()
        except docker.errors.DockerException as error:
            objection = str(error)
        else:
            return None
        gc.collect()
        return objection
