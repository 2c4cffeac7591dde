"""Those who are compared: how each is started, prepared and asked."""

import contextlib
import os
import secrets
import shutil
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import jwt

from benchmarks import processes
from benchmarks.postgres import Postgres

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
USERS = 6
HISTORY_LIMIT = 40
START_SECONDS = 90
# What a person may have set for a service of their own must not steer these.
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "NODE_EXTRA_CA_CERTS", "LD_LIBRARY_PATH")


class Unavailable(Exception):
    """Why one of those to compare with cannot take part here."""


class Candidate:
    """A server in front of the provider, pinned to one core."""

    name = ""
    path = "/api/chat/stream"
    relays = True  # keeps sessions and messages, and so knows users and needs a database

    def __init__(self, folder: Path, postgres: Postgres, provider_port: int) -> None:
        self.folder = folder / self.name
        self.folder.mkdir()
        self.postgres = postgres
        self.provider_url = f"http://127.0.0.1:{provider_port}/v1"
        self.port = processes.free_port()
        self.database = f"bench_{self.name}"
        self.process: subprocess.Popen[bytes] | None = None
        if self.relays:
            self.database_url = postgres.create(self.database)
        self.set_up()

    # --- what differs

    def set_up(self) -> None:
        """Do what has to be done once, before the first start."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def environ(self) -> dict[str, str]:
        return {}

    def sign_in(self) -> None:
        """See to it that `headers` are good for the next minutes."""

    def headers(self, number: int) -> dict[str, str]:
        return {}

    # --- what is the same

    def request(self, model: str, number: int = 0, session_id: str | None = None) -> dict[str, Any]:
        """Return the request number `number`: the users take turns."""
        body: dict[str, Any] = {"message": "你好, please answer.", "provider": "custom", "model": model}
        if session_id is not None:
            body["sessionId"] = session_id
        return {"headers": self.headers(number), "body": body}

    def start(self) -> None:
        """Start it where it does not run, and wait until it listens."""
        if self.process is not None and self.process.poll() is None:
            return
        environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | self.environ()
        with (self.folder / "log").open("ab") as log:
            self.process = processes.start(
                self.command(), processes.SERVER_CORE, environ=environ, cwd=PROJECT, log=log
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = (self.folder / "log").read_text(errors="replace")[-1500:]
                self.stop()
                raise Unavailable(f"{self.name} did not start:\n{tail}")
            time.sleep(0.1)
        self.sign_in()

    def stop(self) -> None:
        if self.process is not None:
            processes.end(self.process)
            self.process = None

    def _listens(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=2, trust_env=False)
            return True
        return False

    @property
    def pids(self) -> list[int]:
        assert self.process is not None
        return [self.process.pid, *processes.children(self.process.pid)]

    def cpu_seconds(self) -> float:
        return sum(processes.cpu_seconds(pid) for pid in self.pids)

    def memory(self) -> int:
        """Return how many KiB are resident."""
        return sum(processes.status(pid, "VmRSS") for pid in self.pids)

    def threads(self) -> int:
        return sum(processes.status(pid, "Threads") for pid in self.pids)

    def new_session(self, number: int, model: str, turns: int) -> str:
        """Talk for `turns` turns and return the conversation's id."""
        session_id: str | None = None
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, trust_env=False) as client:
            for _ in range(turns):
                request = self.request(model, number, session_id)
                answer = client.post(self.path, json=request["body"], headers=request["headers"])
                if answer.status_code != 200 or "event: done" not in answer.text:
                    raise Unavailable(f"{self.name} answered {answer.status_code}: {answer.text[-300:]}")
                first = next(line for line in answer.text.splitlines() if line.startswith("data: "))
                session_id = str(httpx.Response(200, content=first[6:]).json()["sessionId"])
        assert session_id is not None
        return session_id

    def sessions(self, count: int, model: str, turns: int) -> list[str]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda n: self.new_session(n, model, turns), range(count)))


class Ours(Candidate):
    """This project: one process, started the way `make run` starts it."""

    name = "ours"
    module = "chatproject.launch"

    def __init__(self, *args: Any) -> None:
        self._tokens: list[dict[str, str]] = []
        super().__init__(*args)

    def command(self) -> list[str]:
        return [sys.executable, "-m", self.module]

    def environ(self) -> dict[str, str]:
        return {
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DATA_DIR": str(self.folder / "data"),
            "DATABASE_URL": self.database_url,
            "ADMIN_PASSWORD": secrets.token_urlsafe(16),
            "ALLOW_PRIVATE_PROVIDER_HOSTS": "1",
            "CHAT_HISTORY_LIMIT": str(HISTORY_LIMIT),
            # A few users stand for many here.
            "CHAT_RATE_LIMIT": "1000000/m",
            "CHAT_MAX_RUNNING": "100000",
            "REGISTER_RATE_LIMIT": "1000000/m",
        }

    def sign_in(self) -> None:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}/api", timeout=60, trust_env=False
        ) as client:
            if self._tokens:
                for number, tokens in enumerate(self._tokens):
                    renewed = client.post("/auth/refresh", json={"refresh": tokens["refresh"]})
                    self._tokens[number] = renewed.raise_for_status().json()
                return
            for _ in range(USERS):
                person = {"username": f"user-{secrets.token_hex(4)}", "password": secrets.token_urlsafe(16)}
                tokens = client.post("/auth/register", json=person).raise_for_status().json()
                client.put(
                    "/providers/custom/config",
                    json={"baseUrl": self.provider_url, "apiKey": "a-key", "defaultModel": "bench-max-5tok"},
                    headers={"Authorization": f"Bearer {tokens['access']}"},
                ).raise_for_status()
                self._tokens.append(tokens)

    def headers(self, number: int) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._tokens[number % USERS]['access']}"}


class Metered(Ours):
    """The same, with a meter on what it does to lose nothing."""

    name = "metered"
    module = "benchmarks.keeping"

    def environ(self) -> dict[str, str]:
        return {**super().environ(), "KEEPING_METER": str(self.folder / "meter")}

    def keeping_seconds(self) -> float:
        return float(struct.unpack("d", (self.folder / "meter").read_bytes())[0])


class SharedSecret(Candidate):
    """One that trusts tokens signed with a secret we know."""

    def environ(self) -> dict[str, str]:
        return {
            "PORT": str(self.port),
            "DATABASE_URL": self.database_url,
            "JWT_SECRET": self.secret,
            "PROVIDER_URL": self.provider_url,
            "USERS": str(USERS),
            "HISTORY_LIMIT": str(HISTORY_LIMIT),
        }

    @property
    def secret(self) -> str:
        return self.__dict__.setdefault("_secret", secrets.token_urlsafe(48))

    def headers(self, number: int) -> dict[str, str]:
        claims = {"user_id": number % USERS + 1, "exp": time.time() + 900}
        return {"Authorization": f"Bearer {jwt.encode(claims, self.secret, algorithm='HS256')}"}


class Express(SharedSecret):
    """A plain Express relay of the original contract, over the same PostgreSQL."""

    name = "express"

    def set_up(self) -> None:
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            raise Unavailable("Node.js with npm is not installed")
        self._node = node
        if not (HERE / "express" / "node_modules" / "pg").exists():
            command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
            done = subprocess.run(command, cwd=HERE / "express", capture_output=True, timeout=180)
            if done.returncode != 0:
                raise Unavailable(f"npm could not install Express: {done.stderr.decode()[-300:]}")

    def command(self) -> list[str]:
        return [self._node, str(HERE / "express" / "server.js")]

    def environ(self) -> dict[str, str]:
        return {**super().environ(), "NODE_ENV": "production"}


class Tutorial(SharedSecret):
    """Streaming as Django tutorials write it, under uvicorn."""

    name = "tutorial"

    def set_up(self) -> None:
        environ = {**os.environ, **self.environ()}
        command = [sys.executable, "-m", "benchmarks.tutorial.prepare"]
        done = subprocess.run(command, cwd=PROJECT, env=environ, capture_output=True, timeout=60)
        if done.returncode != 0:
            raise Unavailable(f"the tutorial's tables could not be made: {done.stderr.decode()[-500:]}")

    def command(self) -> list[str]:
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--no-access-log", "--lifespan", "off"]
        options += ["--log-level", "warning", "--timeout-graceful-shutdown", "2"]
        return [
            sys.executable,
            "-m",
            "uvicorn",
            "--factory",
            "django.core.asgi:get_asgi_application",
            *options,
        ]

    def environ(self) -> dict[str, str]:
        return {**super().environ(), "DJANGO_SETTINGS_MODULE": "benchmarks.tutorial.settings"}


class Direct(Candidate):
    """Nobody in between: the floor of every latency."""

    name = "direct"
    path = "/v1/chat/completions"
    relays = False

    def request(self, model: str, number: int = 0, session_id: str | None = None) -> dict[str, Any]:
        messages = [{"role": "user", "content": "你好, please answer."}]
        return {"headers": {}, "body": {"model": model, "messages": messages, "stream": True}}

    def start(self) -> None:
        self.port = int(self.provider_url.split(":")[2].split("/")[0])

    @property
    def pids(self) -> list[int]:
        return []


class Nginx(Direct):
    """nginx in front of the provider: passes bytes on and keeps nothing."""

    name = "nginx"

    def set_up(self) -> None:
        nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if nginx is None:
            raise Unavailable("nginx is not installed")
        self._nginx = nginx
        (self.folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/errors;\n"
            + ("user root;\n" if os.geteuid() == 0 else "")
            + "events { worker_connections 8192; }\nhttp {\n access_log off;\n"
            + "".join(
                f" {kind}_temp_path {self.folder}/{kind};\n"
                for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            )
            + f" upstream provider {{ server {self.provider_url[7:-3]}; keepalive 64; }}\n"
            f" server {{ listen 127.0.0.1:{self.port} backlog=4096; location / {{\n"
            '  proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";\n'
            "  proxy_buffering off; proxy_read_timeout 300s;\n } }\n}\n"
        )

    def command(self) -> list[str]:
        return [self._nginx, "-c", str(self.folder / "nginx.conf"), "-p", str(self.folder)]

    start = Candidate.start
    pids = Candidate.pids


KINDS: list[type[Candidate]] = [Ours, Express, Tutorial, Nginx, Direct]
