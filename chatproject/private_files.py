"""Keeps the data folder and what is in it from the machine's other users."""

import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

OTHERS = stat.S_IRWXG | stat.S_IRWXO
PROJECT = Path(__file__).resolve().parent.parent
SQLITE = "django.db.backends.sqlite3"
# What SQLite, and the lock of the running service, put beside a database.
BESIDE = ("", "-wal", "-shm", "-journal", "-served")


def from_now_on() -> None:
    """Make every file of this process, and of those it starts, its user's alone."""
    os.umask(0o077)


def correct(folder: Path, database: Mapping[str, Any]) -> None:
    """Take away what earlier versions, or a careless copy, let others read."""
    files = [path for path in folder.iterdir() if path.is_file()]
    if database["ENGINE"] == SQLITE:
        files += [Path(f"{database['NAME']}{end}") for end in BESIDE]
    # A folder that holds more than this service's data is somebody else's affair.
    shared = {Path("/"), Path.home(), PROJECT, *PROJECT.parents}
    for path in [*files, *([] if folder in shared else [folder])]:
        _close(path)


def _close(path: Path) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & OTHERS:
            path.chmod(mode & ~OTHERS)
    except FileNotFoundError:
        return
    except OSError as exc:
        logger.warning("others may be able to read %s, and that cannot be changed (%s)", path, exc.strerror)
