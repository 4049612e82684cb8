"""`ingress status` against real endpoints: a process with the publisher's own metrics, and an API."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from core_ingest.ledger.accounting import Accounting, Terms
from ingress_runtime.cli import main
from ingress_runtime.status.accounts import TERMS

PUBLISHER = """
import sys, threading
from ingress_runtime.metrics import start_server
from telematics_publisher import stream
from telematics_publisher.transports import queue_first

queue_first.BREAKER_STATE.state("open")
done = threading.Event()

def receive():
    while not done.wait(0.005):
        stream.FRAMES.labels("viriciti").inc()

thread = threading.Thread(target=receive)
thread.start()
with start_server("127.0.0.1", 0) as server:
    print(server.port, flush=True)
    sys.stdin.read()
done.set()
thread.join()
"""
AWAY = "Kafka is away (breaker open"
KEY = "read-secret-key"


@pytest.fixture(scope="module")
def publisher() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", PUBLISHER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.communicate()
    assert process.returncode == 0


class Door(BaseHTTPRequestHandler):
    """Core's API, as far as the command knows it."""

    def do_GET(self) -> None:
        if self.headers["Authorization"] != f"Bearer {KEY}" or "/acme/" not in self.path:
            self.send_error(403)
            return
        account = Accounting(received=120, in_flight=7, unaccounted=2)
        body = account.model_dump_json().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — http.server's name
        pass


@contextmanager
def core() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def status(*arguments: str, **environ: str) -> Result:
    variables = {"INGRESS_API_URL": None, **environ}
    return CliRunner().invoke(main, ["status", *arguments], env=variables)


def test_two_looks_give_rates_and_a_verdict(publisher: str) -> None:
    result = status("--scrape", publisher, "--interval", "0.3", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["processes"] == [
        {"name": "publisher", "url": f"{publisher}/metrics", "error": None}
    ]
    assert found["window_seconds"] > 0
    assert found["sections"]["throughput"]["frames_per_second"] > 0
    assert found["sections"]["way"]["breaker"] == "open"
    assert found["sections"]["accounting"]["unaccounted"] is None
    assert any(one.startswith(AWAY) for one in found["verdict"]["sentences"])


def test_one_look_shows_what_happened_since_the_start(publisher: str) -> None:
    result = status("--scrape", publisher, "--interval", "0")
    assert result.exit_code == 0, result.output
    assert "since the start;  seen: publisher" in result.stdout
    assert "\x1b" not in result.stdout


def test_processes_that_do_not_answer_are_said_and_fatal_only_all_together(publisher: str) -> None:
    with core() as url:  # answers 403, and nobody listens there afterwards
        result = status("--scrape", publisher, "--scrape", url, "--interval", "0")
        assert result.exit_code == 0
        assert f"process at {url}/metrics does not answer: HTTP 403 Forbidden" in result.stdout
        assert "Not seen: the process at" in result.stdout
    result = status("--scrape", url, "--interval", "0")
    assert result.exit_code == 1
    assert "Connection refused" in result.stdout
    assert result.stdout.endswith("No process answers: nothing is known.\n")


def test_what_is_not_metrics_counts_as_no_answer() -> None:
    with core() as url:
        page = f"{url}/v1/workspaces/acme/accounting"
        result = status("--scrape", page, "--interval", "0")
    assert result.exit_code == 1


def test_workspaces_are_accounted_for_by_name_under_a_key(publisher: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n", encoding="utf-8")
    with core() as url:
        result = status(
            *("--scrape", publisher, "--interval", "0", "--json"),
            *("--workspace", "acme", "--workspace", "zebra", "--api-key-file", str(file)),
            INGRESS_API_URL=url,
        )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["sections"]["accounting"]["workspaces"] == [
        {"workspace": "acme", "received": 120, "in_flight": 7, "stranded": 0, "unaccounted": 2}
    ]
    assert "Workspace acme misses 2 messages." in found["verdict"]["sentences"]
    assert found["processes"][-1] == {
        "name": "the accounting of zebra",
        "url": url,
        "error": "HTTP 403 Forbidden",
    }
    assert KEY not in result.output


def test_the_terms_are_those_of_core() -> None:
    assert set(TERMS) <= set(Terms.model_fields)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--watch", "--interval", "0"), "--watch needs an --interval above 0"),
        (("--scrape", "localhost:9464"), "must be an address such as http://127.0.0.1:9464"),
        (("--scrape", "http://a:port"), "Port could not be cast"),
        (("--workspace", "acme"), "--url URL, or set INGRESS_API_URL"),
        (("--workspace", "acme", "--url", "http://a"), "--api-key-env NAME or --api-key-file"),
        (("--api-key-env", "K", "--url", "http://a"), "say whose accounting"),
        (
            ("--workspace", "acme", "--url", "http://a", "--api-key-env", "NOT_THERE"),
            "the variable NOT_THERE holds no key",
        ),
    ],
)
def test_a_wrong_command_line_says_what_to_do(arguments: tuple[str, ...], complaint: str) -> None:
    result = status(*arguments)
    assert result.exit_code == 2
    assert complaint in " ".join(result.output.replace("│", " ").split())


def command(*arguments: str) -> list[str]:
    """Return a command line that Ctrl-C ends, also where the tests run in a shell's background."""
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from ingress_runtime.cli import main; main()"
    )
    return [sys.executable, "-c", program, *arguments]


def test_watching_goes_on_until_it_is_interrupted_block_by_block(publisher: str) -> None:
    with subprocess.Popen(
        command("status", "--watch", "--interval", "0.1", "--scrape", publisher),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        heads = [line for line in _until(process.stdout, 3) if "seen: publisher" in line]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 0
    assert errors == ""
    assert "since the start" in heads[0]
    assert "last " in heads[1]


def _until(lines: Iterator[str], times: int) -> Iterator[str]:
    """Yield lines up to the verdict that says so many times that Kafka is away."""
    for line in lines:
        yield line
        times -= line.startswith(AWAY)
        if not times:
            return


@pytest.mark.parametrize("no_colour", [False, True])
def test_a_terminal_is_drawn_over_in_its_own_size(publisher: str, no_colour: bool) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 80, 0, 0))
    sizes = {"COLUMNS", "LINES", "NO_COLOR"}
    environ = {name: value for name, value in os.environ.items() if name not in sizes}
    if no_colour:
        environ["NO_COLOR"] = "1"
    with subprocess.Popen(
        command("status", "--watch", "--interval", "0.1", "--scrape", publisher),
        stdout=theirs,
        env=environ,
    ) as process:
        os.close(theirs)
        seen = ""
        while seen.count("\x1b[J") < 2:
            seen += os.read(ours, 65_536).decode()
        process.send_signal(signal.SIGINT)
        _drained(ours)
    os.close(ours)
    assert process.returncode == 0
    first, second, *_ = seen.split("\x1b[J")
    assert first.startswith("\x1b[2J\x1b[H")
    assert second.startswith("\x1b[H")
    assert first.count("\r\n") <= 20
    assert "more lines: make the terminal higher" in first
    assert AWAY in second
    assert ("\x1b[1m" in first) is not no_colour


def _drained(terminal: int) -> None:
    """Read what is left: a process that writes to a full terminal would not end."""
    try:
        while os.read(terminal, 65_536):
            pass
    except OSError:  # the other side has closed
        return
