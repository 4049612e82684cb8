import http.client
import platform
from importlib.metadata import version

import pytest
from prometheus_client import REGISTRY, Counter

from ingress_runtime import metrics

SEEN = Counter("test_runtime_seen", "Made by this test.")


def get(server: metrics.MetricsServer, path: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


def test_the_endpoint_serves_what_the_process_counts() -> None:
    SEEN.inc()
    with metrics.start_server("127.0.0.1", 0) as server:
        status, content_type, body = get(server, "/metrics")
    assert status == 200
    assert content_type.startswith("text/plain; version=")
    assert b"test_runtime_seen_total" in body


def test_every_process_tells_which_version_it_is() -> None:
    labels = {"version": version("telematics-ingress"), "python": platform.python_version()}
    assert REGISTRY.get_sample_value("ingress_build_info", labels) == 1.0


def test_render_gives_body_and_type_to_processes_with_their_own_http() -> None:
    body, content_type = metrics.render()
    assert b"test_runtime_seen_total" in body
    assert content_type.startswith("text/plain; version=")


@pytest.mark.parametrize(("healthy", "expected"), [(True, 200), (False, 503)])
def test_a_probe_answers_by_its_result(healthy: bool, expected: int) -> None:
    with metrics.start_server("127.0.0.1", 0, probes={"/livez": lambda: healthy}) as server:
        assert get(server, "/livez?verbose")[0] == expected


def test_a_probe_may_say_in_words_what_is_wrong() -> None:
    with metrics.start_server("127.0.0.1", 0, probes={"/readyz": lambda: "no brokers"}) as server:
        status, _, body = get(server, "/readyz")
    assert (status, body) == (503, b"no brokers\n")


def test_other_paths_are_not_found() -> None:
    with metrics.start_server("127.0.0.1", 0) as server:
        assert get(server, "/")[0] == 404


def test_servers_of_one_process_keep_their_own_probes() -> None:
    with (
        metrics.start_server("127.0.0.1", 0, probes={"/livez": lambda: True}) as one,
        metrics.start_server("127.0.0.1", 0) as two,
    ):
        assert (get(one, "/livez")[0], get(two, "/livez")[0]) == (200, 404)
        assert one.host == "127.0.0.1"


def test_after_close_the_port_is_free_again() -> None:
    server = metrics.start_server("127.0.0.1", 0)
    port = server.port
    server.close()
    metrics.start_server("127.0.0.1", port).close()
