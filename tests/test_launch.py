"""What cannot start says why, in one line, and leaves nothing behind."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import inside
from tests.environment import shut_out
from tests.server import Server

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
