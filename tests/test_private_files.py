"""Nobody else on the machine can read what the service keeps."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server import Server


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def readable_by_others(folder: Path) -> list[str]:
    found = [folder, *(path for path in folder.iterdir() if path.is_file())]
    return [f"{path.name} {path.stat().st_mode:o}" for path in found if path.stat().st_mode & 0o077]


def test_data_is_for_its_owner_alone_and_an_old_installation_is_corrected(
    make_server: Callable[..., Server],
) -> None:
    server = make_server()
    server.user()
    data = server.folder / "data"
    names = {path.name for path in data.iterdir()}
    assert {
        "chat.sqlite3",
        "chat.sqlite3-wal",
        "chat.sqlite3-shm",
        "chat.sqlite3-served",
        "secret-key",
    } <= names
    assert readable_by_others(data) == []

    server.stop()
    data.chmod(0o755)
    for path in data.iterdir():
        if path.is_file():
            path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o044)
    server.start()
    server.user()

    assert readable_by_others(data) == []


def test_a_database_elsewhere_is_closed_and_the_folder_around_it_left_alone(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    make_server(DATABASE_URL=f"sqlite:///{elsewhere}/chat.sqlite3").user()

    assert [line for line in readable_by_others(elsewhere) if line != "elsewhere 40755"] == []
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o755
