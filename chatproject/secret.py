"""The secret in the data folder, made once by the first start and found by every command after it."""

import contextlib
import os
import secrets
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
FILE_NAME = "secret-key"


def data_folder() -> Path:
    return Path(os.environ.get("DATA_DIR", "").strip() or PROJECT / "data").expanduser().resolve()


def use_stored(folder: Path) -> None:
    """Point the settings to the folder's secret, unless there is none or the environment gives another."""
    path = folder / FILE_NAME
    given = any(os.environ.get(name, "").strip() for name in ("SECRET_KEY", "SECRET_KEY_FILE"))
    if not given and path.exists():
        os.environ["SECRET_KEY_FILE"] = str(path)


def create(folder: Path) -> None:
    """Make the folder's secret if there is none. Two processes that start at once agree on one."""
    path = folder / FILE_NAME
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(secrets.token_urlsafe(48), encoding="ascii")
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
