"""What cannot start says why, in one line, and leaves nothing behind."""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.module_loading import import_string

from tests import inside
from tests.environment import shut_out
from tests.server import Server
from tests.waiting import until

PROJECT = Path(__file__).resolve().parent.parent


def start(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    plain = dict(os.environ)
    shut_out(plain)
    plain.pop("DJANGO_SETTINGS_MODULE", None)
    return subprocess.run(
        [sys.executable, "-m", "chatproject.launch"],
        cwd=PROJECT,
        env=plain | {"DATA_DIR": str(folder / "data")} | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"),
        ("PORT", "99999"),
        ("HOST", "nohost.invalid"),
        ("WEB_CONCURRENCY", "2"),
        ("DATABASE_URL", "mysql://localhost/chat"),
        ("DATABASE_URL", "postgres://"),
        ("DATABASE_URL", "postgres://user:secret-word@[bad/x"),
        ("REDIS_URL", "foo"),
        ("CHAT_RATE_LIMIT", "often"),
        ("LOG_LEVEL", "loud"),
        ("SECRET_KEY", "short"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("CSRF_TRUSTED_ORIGINS", "chat.example"),
    ],
)
def test_nonsense_in_the_environment_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    tried = start(tmp_path, **{name: value})

    assert tried.returncode == 1
    assert tried.stderr.splitlines()[-1].startswith("Cannot start: ")
    assert name in tried.stderr
    assert "Traceback" not in tried.stderr
    assert "secret-word" not in tried.stderr + tried.stdout


def test_a_port_in_use_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        tried = start(tmp_path, PORT=str(taken.getsockname()[1]))

    assert tried.returncode == 1
    assert "is in use. Set PORT" in tried.stderr
    assert "Password" not in tried.stdout
    assert not (tmp_path / "data" / "chat.sqlite3").exists()


def test_redis_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    tried = start(tmp_path, REDIS_URL=f"redis://127.0.0.1:{port}/0")

    assert tried.returncode == 1
    assert "Check REDIS_URL." in tried.stderr


def test_the_garbage_collector_passes_by_what_was_loaded_at_the_start(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    # Looking through all of it takes so long that every stream stops for a moment.
    server = make_server(**inside.watched(tmp_path))
    server.user().get("/api/chat/sessions").raise_for_status()

    held = inside.figures(server, tmp_path)

    assert held["passed by"] > 10 * held["collected"]


def manage(data: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    plain = dict(os.environ)
    shut_out(plain)
    plain.pop("DJANGO_SETTINGS_MODULE", None)
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=plain | {"DATA_DIR": str(data)} | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_any_command_finds_the_secret_that_the_first_start_has_stored(sqlite_server: Server) -> None:
    data = sqlite_server.folder / "data"

    printed = manage(
        data, "shell", "-v0", "-c", "from django.conf import settings; print(settings.SECRET_KEY)"
    )

    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.strip() == (data / "secret-key").read_text()


def test_a_secret_of_the_environment_comes_before_the_stored_one(tmp_path: Path) -> None:
    (tmp_path / "secret-key").write_text("stored " * 8)
    code = "from django.conf import settings; print(settings.SECRET_KEY)"

    printed = manage(tmp_path, "shell", "-v0", "-c", code, SECRET_KEY="given " * 8)

    assert printed.stdout.strip() == ("given " * 8).strip()


def test_a_command_without_any_secret_says_so_in_one_sentence(tmp_path: Path) -> None:
    tried = manage(tmp_path, "check")

    assert tried.returncode == 1
    assert tried.stderr.startswith("Cannot start: SECRET_KEY is not set.")
    assert len(tried.stderr.splitlines()) == 1


def test_runserver_refuses_what_is_no_address(sqlite_server: Server) -> None:
    tried = manage(sqlite_server.folder / "data", "runserver", "anywhere")

    assert tried.returncode == 1
    assert "anywhere is neither a port nor address:port." in tried.stderr


class DevelopmentServer(Server):
    """The service as `manage.py runserver` starts it."""

    def _command(self) -> list[str]:
        return [sys.executable, "manage.py", "runserver", f"127.0.0.1:{self.environ['PORT']}"]


def test_runserver_streams_an_answer_and_restarts_on_a_change(tmp_path: Path) -> None:
    server = DevelopmentServer(tmp_path, DEBUG="1")
    server._lend()
    (tmp_path / "data" / "secret-key").write_text("a secret as the first start makes one")
    try:
        server.start()
        with server.user().streaming("Count from 1 to 20.", "demo", "demo") as live:
            live.next("message")
            assert "done" not in live.seen.names  # it streams: the end has not been sent yet
            assert live.rest().names[-1] == "done"
        [before] = server.workers

        # The server starts to watch files just after it has begun to serve.
        def restarted() -> bool:
            os.utime(PROJECT / "chatproject" / "__init__.py")
            return server.workers not in ([], [before])

        until(restarted, every=0.2)
        server._wait_until_ready()
    finally:
        server.kill()


def test_djangos_check_of_a_deployment_is_silent(tmp_path: Path) -> None:
    environ = {"HTTPS": "1", "ALLOWED_HOSTS": "chat.example.org", "SECRET_KEY": secrets.token_urlsafe(48)}
    checked = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=PROJECT,
        env=dict(os.environ)
        | {"DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "chatproject.settings"}
        | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert checked.returncode == 0, checked.stderr
    assert "WARNINGS" not in checked.stdout + checked.stderr


def test_the_middleware_whose_checks_are_silenced_is_there() -> None:
    classes = [import_string(name) for name in settings.MIDDLEWARE if "Page" in name]
    for base in (SecurityMiddleware, XFrameOptionsMiddleware, CsrfViewMiddleware):
        assert any(issubclass(one, base) for one in classes)
