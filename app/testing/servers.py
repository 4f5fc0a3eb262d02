"""Throwaway PostgreSQL and Redis servers: the real programs, on free ports, in a temporary directory."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testing.ports import free_port

START_SECONDS = 20.0
_PASSWORD = "throwaway"  # noqa: S105  # of servers that live for a moment


class Server(ABC):
    """A server process that can be stopped and started again on the same port with the same data."""

    stop_signal = signal.SIGTERM

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]: ...

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def start(self) -> None:
        log = self.directory / f"{type(self).__name__}.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(self.command(), stdout=output, stderr=output)
        until = time.monotonic() + START_SECONDS
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{type(self).__name__} did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """All its processes stand still, while the kernel goes on accepting connections for them."""
        assert self._process is not None
        processes = [self._process.pid, *_children(self._process.pid)]
        try:
            for pid in processes:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in processes:
                os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(self.stop_signal)
            self._process.wait(timeout=START_SECONDS)
            self._process = None


class Redis(Server):
    def __init__(self, directory: Path, port: int, password: str) -> None:
        super().__init__(directory, port)
        self._password = password

    def command(self) -> list[str]:
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", self._password)
        return [_program("redis-server"), *options, "--save", "", "--dir", str(self.directory)]


class Postgres(Server):
    stop_signal = signal.SIGINT  # "fast": it does not wait for clients

    def __init__(self, directory: Path, port: int, user: str, database: str) -> None:
        super().__init__(directory, port)
        self._data = directory / "data"
        # It refuses to run as root, and then needs another owner for its files.
        self._as = [_program("setpriv"), "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self._as = self._as if os.geteuid() == 0 else []
        if self._as:
            shutil.chown(directory, "postgres", "postgres")
        initdb = [
            *self._as,
            _program("initdb"),
            "-D",
            str(self._data),
            "-U",
            user,
            "--auth=trust",
            "--no-sync",
        ]
        subprocess.run([*initdb, "--encoding=UTF8", "--locale=C"], check=True, capture_output=True)
        self._user = user
        self.start()
        self.create(database)

    def create(self, database: str) -> None:
        """Make another database."""
        create = [_program("createdb"), "-h", "127.0.0.1", "-p", str(self.port), "-U", self._user, database]
        subprocess.run(create, check=True, capture_output=True)

    def command(self) -> list[str]:
        settings = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", f"port={self.port}")
        options = [f"-c{setting}" for setting in settings]
        listen = ["-clisten_addresses=127.0.0.1", "-cunix_socket_directories="]
        return [*self._as, _program("postgres"), "-D", str(self._data), *listen, *options]

    def answers(self) -> bool:
        probe = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(probe, check=False).returncode == 0


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def throwaway(*databases: str) -> Iterator[dict[str, str]]:
    """PostgreSQL with these databases, and Redis; the variables by which the CRM finds them and the first database."""
    with tempfile.TemporaryDirectory(prefix="crm-servers-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user where this one is root
        (folder / "pg").mkdir()
        redis = Redis(folder, free_port(), _PASSWORD)
        redis.start()
        try:
            postgres = Postgres(folder / "pg", free_port(), "crm", databases[0])
            try:
                for database in databases[1:]:
                    postgres.create(database)
                yield {
                    "CRM_THROWAWAY_SERVERS": "",  # else tests, where they are run on these, would start others
                    "DB_HOST": "127.0.0.1",
                    "DB_PORT": str(postgres.port),
                    "DB_NAME": databases[0],
                    "DB_USER": "crm",
                    "DB_PASSWORD": _PASSWORD,
                    "REDIS_HOST": "127.0.0.1",
                    "REDIS_PORT": str(redis.port),
                    "REDIS_PASSWORD": _PASSWORD,
                }
            finally:
                postgres.stop()
        finally:
            redis.stop()


def _program(name: str) -> str:
    """PATH first, then where Debian puts PostgreSQL's server programs: of version POSTGRESQL, else of the newest."""
    found = shutil.which(name)
    if found and name not in ("initdb", "postgres"):
        return found
    wanted = os.environ.get("POSTGRESQL", "")
    versions = sorted(
        Path("/usr/lib/postgresql").glob(f"{wanted or '*'}/bin/{name}"), key=lambda p: -int(p.parts[-3])
    )
    if versions:
        return str(versions[0])
    if found and not wanted:
        return found
    raise RuntimeError(
        f"{name}{wanted and f' of PostgreSQL {wanted}'} is not installed; install PostgreSQL's and Redis' servers"
        " (apt: postgresql redis-server)."
    )
