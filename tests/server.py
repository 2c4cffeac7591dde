"""A real server process, started the way `make run` starts it, and people who use it over HTTP."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx

from tests import services
from tests.environment import shut_out
from tests.eventstream import Answer, Event, EventReader

PROJECT = Path(__file__).resolve().parent.parent
START_SECONDS = 60
# The servers speak plain HTTP. Loading the usual certificates takes every new client 18 ms of CPU.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ADMIN_PASSWORD = "an-administrator-for-tests"

# Tests make many accounts and send many messages from one address. A test of a limit sets its own.
DEFAULTS = {
    "HOST": "127.0.0.1",
    "ADMIN_PASSWORD": ADMIN_PASSWORD,
    "REGISTRATION_OPEN": "1",
    "CHAT_RATE_LIMIT": "100000/m",
    "LOGIN_RATE_LIMIT": "100000/m",
    "REGISTER_RATE_LIMIT": "100000/m",
    "PYTHONUNBUFFERED": "1",
    "DJANGO_SETTINGS_MODULE": "tests.server_settings",
    # Tests come from many addresses, all of them this machine's.
    "FORWARDED_ALLOW_IPS": "127.0.0.1",
}


class Server:
    """One service in a process (group) of its own, with its own data folder, log and port.

    `environ` adds to, or with None removes from, what it is started with. Unless it begins `from_nothing`,
    it is lent what a first start takes seconds to make: tables, and static files.
    """

    def __init__(self, folder: Path, *, from_nothing: bool = False, **environ: str | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log_path = folder / "server.log"
        self.log_path.touch()
        self._fixed_port = environ.get("PORT")
        self.environ: dict[str, str] = dict(os.environ)
        shut_out(self.environ)
        # Hundreds of processes would each compile everything, where none may keep what it has compiled.
        for name in ("DJANGO_SETTINGS_MODULE", "PYTHONPATH", "PYTHONWARNINGS", "PYTHONDONTWRITEBYTECODE"):
            self.environ.pop(name, None)
        self.environ |= DEFAULTS | {"DATA_DIR": str(folder / "data")}
        for name, value in environ.items():
            if value is None:
                self.environ.pop(name, None)
            else:
                self.environ[name] = value
        self._from_nothing = from_nothing
        self.process: subprocess.Popen[bytes] | None = None
        self._note: Path | None = None

    # --- Its life ---

    def start(self) -> Self:
        """Start it and wait until it is ready; start it again after `stop` or `kill`, on the same port."""
        if self.process is not None and self.process.poll() is None:
            raise RuntimeError("the server runs already")
        for attempt in range(3):
            if "PORT" not in self.environ or (attempt and self._fixed_port is None):
                self.environ["PORT"] = str(services.free_port())
            self._lend()
            self._launch()
            try:
                self._wait_until_ready()
                return self
            except ServerDied:
                if "address already in use" not in self.log().lower() or attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def _launch(self) -> None:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self._command(),
                cwd=PROJECT,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that `kill` reaches the worker processes too
            )
        self._note = services.note("group", str(self.process.pid))

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "chatproject.launch"]

    def _lend(self) -> None:
        """Give a new server static files that have been collected, and a database with tables."""
        data = self.folder / "data"
        if data.exists() or self._from_nothing:
            return
        data.mkdir(mode=0o700)
        shutil.copytree(services.collected_static(), data / "static")
        if "DATABASE_URL" not in self.environ:
            shutil.copy(services.migrated_sqlite(), data / "chat.sqlite3")

    def _wait_until_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        with httpx.Client(trust_env=False, verify=NO_CERTIFICATES, timeout=5) as client:
            while time.monotonic() < deadline:
                if self.process.poll() is not None:
                    self.kill()
                    raise ServerDied(f"the server ended with {self.process.returncode}:\n{self.tail()}")
                with contextlib.suppress(httpx.HTTPError):
                    if client.get(f"{self.base_url}/readyz").status_code == 200:
                        return
                time.sleep(0.05)
        tail = self.tail()
        self.kill()
        raise ServerDied(f"the server was not ready after {START_SECONDS} s:\n{tail}")

    def stop(self, number: signal.Signals = signal.SIGTERM, *, timeout: float = 30) -> int:
        """Ask it to end, as an operator does, and return its exit code, which is minus the signal."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server did not end within {timeout} s:\n{self.tail()}") from None
        finally:
            self.kill()

    def kill(self) -> None:
        """End it with all its workers, without a warning."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        if self._note is not None:
            self._note.unlink(missing_ok=True)
            self._note = None

    @property
    def pids(self) -> list[int]:
        """The main process first, then what it has started."""
        assert self.process is not None
        return [self.process.pid, *children(self.process.pid)]

    @property
    def workers(self) -> list[int]:
        """The processes that answer requests; the main process itself where it is the only one."""
        assert self.process is not None
        # Python's own helpers are children too.
        spawned = [pid for pid in self.pids[1:] if b"spawn_main" in _command_line(pid)]
        return spawned or [self.process.pid]

    # --- Its log ---

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def tail(self, *, since: int = 0, lines: int = 60) -> str:
        """Return the last lines of the log, from byte `since` on."""
        with self.log_path.open("rb") as log:
            log.seek(since)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    # --- Its users ---

    @property
    def base_url(self) -> str:
        return f"http://{self.environ['HOST']}:{self.environ['PORT']}"

    def client(self, **options: Any) -> httpx.Client:
        """Return a client without any credentials."""
        # Without idle connections there is nothing to close, and each request may meet another worker.
        limits = httpx.Limits(max_keepalive_connections=0)
        defaults: dict[str, Any] = {
            "trust_env": False,
            "verify": NO_CERTIFICATES,
            "timeout": 30,
            "limits": limits,
        }
        return httpx.Client(base_url=self.base_url, **defaults | options)

    def user(self, **registration: str) -> "User":
        """Register somebody new."""
        name = f"u{secrets.token_hex(6)}"
        body = {"username": name, "password": f"pass-{secrets.token_urlsafe(18)}"} | registration
        with self.client() as client:
            response = client.post("/api/auth/register", json=body)
        assert response.status_code == 201, f"register: {response.status_code} {response.text}"
        return User(self, body["username"], body["password"], response.json())

    def login(self, username: str, password: str) -> "User":
        with self.client() as client:
            response = client.post("/api/auth/login", json={"username": username, "password": password})
        assert response.status_code == 200, f"login: {response.status_code} {response.text}"
        return User(self, username, password, response.json())

    def admin(self) -> "User":
        """Sign in the administrator that the first start made."""
        return self.login(self.environ.get("ADMIN_USERNAME", "admin"), self.environ["ADMIN_PASSWORD"])


class ServerDied(AssertionError):
    """The server did not come up; the end of its log is in the text."""


class User:
    """Somebody with an account and valid tokens."""

    def __init__(self, server: Server, username: str, password: str, signed_in: dict[str, Any]) -> None:
        self.server = server
        self.username = username
        self.password = password
        self.id = signed_in["user"]["id"]
        self.access = signed_in["access"]
        self.refresh = signed_in["refresh"]
        # Whom `stream` asks unless it is told otherwise.
        self.provider = "demo"
        self.model = "demo"

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        with self.client() as client:
            return client.request(method, path, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> httpx.Response:
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> httpx.Response:
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.request("DELETE", path, **options)

    def client(self) -> httpx.Client:
        return self.server.client(headers={"Authorization": f"Bearer {self.access}"})

    def configure(self, provider: str, **config: Any) -> dict[str, Any]:
        """Store the user's own config of a provider: `configure("custom", baseUrl=..., apiKey=...)`."""
        response = self.put(f"/api/providers/{provider}/config", json=config)
        assert response.status_code == 200, f"config: {response.status_code} {response.text}"
        return dict(response.json())

    def messages(self, session_id: str, **params: Any) -> list[dict[str, Any]]:
        response = self.get(f"/api/chat/sessions/{session_id}/messages", params=params)
        assert response.status_code == 200, f"messages: {response.status_code} {response.text}"
        return list(response.json()["messages"])

    # --- Streams ---

    def stream(
        self, message: str, provider: str | None = None, model: str | None = None, **options: Any
    ) -> Answer:
        """Send a message and return all events of the answer.

        `headers` go into the request's head; everything else (`sessionId`, `mode`, ...) into its body.
        """
        with self.streaming(message, provider, model, **options) as live:
            return live.rest()

    @contextlib.contextmanager
    def streaming(
        self,
        message: str,
        provider: str | None = None,
        model: str | None = None,
        *,
        headers: dict[str, str] | None = None,
        **body: Any,
    ) -> Iterator["LiveStream"]:
        """Send a message and give the events as they come; leaving the block hangs up."""
        chosen = {"provider": provider or self.provider, "model": model or self.model}
        body = {"message": message} | chosen | body
        with self.opened("POST", "/api/chat/stream", json=body, headers=headers) as live:
            yield live

    def resume(self, session_id: str, last_event_id: str | None = None) -> Answer:
        """Pick up a running answer, from its start or from just after an event."""
        headers = {"Last-Event-ID": last_event_id} if last_event_id is not None else {}
        with self.opened("GET", f"/api/chat/sessions/{session_id}/stream", headers=headers) as live:
            return live.rest()

    @contextlib.contextmanager
    def opened(self, method: str, path: str, **options: Any) -> Iterator["LiveStream"]:
        """Open any call that answers with an event stream."""
        with self.client() as client, client.stream(method, path, **options) as response:
            if response.status_code != 200:
                response.read()
                raise AssertionError(f"{method} {path}: {response.status_code} {response.text}")
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            yield LiveStream(response)


class LiveStream:
    """The events of an open stream, one at a time, as they arrive."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.opened_at = time.monotonic()
        self.reader = EventReader()
        self.seen = Answer()
        self._events = self._read()

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def next(self, name: str | None = None) -> Event:
        """Wait for the next event, or for the next one called `name`."""
        for event in self._events:
            if name in {None, event.name}:
                return event
        raise AssertionError(f"the stream ended without another {name or 'event'}: {self.seen.names}")

    def rest(self) -> Answer:
        """Read to the end and return all events of the stream, those already seen included."""
        for _ in self._events:
            pass
        return self.seen

    def reset(self) -> None:
        """Break the connection off with a TCP reset instead of closing it."""
        link: socket.socket = self.response.extensions["network_stream"].get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.response.close()

    def _read(self) -> Iterator[Event]:
        for data in self.response.iter_raw():
            for event in self.reader.feed(data):
                self.seen.append(event)
                yield event
        self.reader.close()


def _command_line(pid: int) -> bytes:
    arguments = Path(f"/proc/{pid}/cmdline")
    if arguments.exists():
        return arguments.read_bytes()
    return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True).stdout


def children(pid: int) -> list[int]:
    """Return the processes that `pid` has started."""
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    if tasks.exists():
        return [int(child) for child in tasks.read_text().split()]
    listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    return [int(child) for child in listed.stdout.split()]
