"""Start the service: `python -m chatproject.launch`, which `make run` and `manage.py runserver` call.

It makes what a first start needs (a secret, the tables, an administrator, the
static files), says plainly what is missing where it cannot, and then serves.
"""

import contextlib
import errno
import fcntl
import os
import resource
import secrets
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chatproject import private_files, secret

OPEN_FILES = 65536


class CannotStart(Exception):
    """Something the operator has to mend; its text says what."""


def main() -> None:
    from django.core.exceptions import ImproperlyConfigured

    try:
        data_dir = prepare_environment()
        check_port()
        check_redis()
        prepare_database(data_dir)
        serve(**(reloading() if "--reload" in sys.argv[1:] else {}))
    except (CannotStart, ImproperlyConfigured) as exc:
        sys.exit(f"Cannot start: {exc}")


def prepare_environment() -> Path:
    """Fill in what the environment leaves open, keep the secret, and load the settings."""
    private_files.from_now_on()
    data_dir = secret.data_folder()
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise CannotStart(
            f"the data folder {data_dir} cannot be made ({exc.strerror}). Set DATA_DIR."
        ) from exc
    os.environ["DATA_DIR"] = str(data_dir)
    if not (os.environ.get("SECRET_KEY", "").strip() or os.environ.get("SECRET_KEY_FILE", "").strip()):
        secret.create(data_dir)
        secret.use_stored(data_dir)
    host = os.environ.get("HOST", "").strip() or "127.0.0.1"
    if host in {"127.0.0.1", "::1", "localhost"}:
        # Who can reach the page can already reach the machine, so a model on it is within reach.
        os.environ.setdefault("ALLOW_PRIVATE_PROVIDER_HOSTS", "1")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatproject.settings")
    if os.environ.get("WEB_CONCURRENCY", "1").strip() not in {"", "1"}:
        share_metrics(data_dir)

    import django

    django.setup()
    from django.conf import settings

    private_files.correct(data_dir, settings.DATABASES["default"])
    return data_dir


def share_metrics(data_dir: Path) -> None:
    """Let the processes of this start add their numbers up, in a folder of its own."""
    folder = data_dir / "metrics" / (os.environ.get("PORT", "").strip() or "8000")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # prometheus_client reads this when it is imported.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def address() -> tuple[str, int]:
    from chatproject.env import env_int

    host = os.environ.get("HOST", "").strip() or "127.0.0.1"
    return host, env_int("PORT", 8000, maximum=65535)


def check_port() -> None:
    """Refuse at once where the server could not listen, before anything is made or printed."""
    host, port = address()
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except socket.gaierror as exc:
        raise CannotStart(f"HOST {host} is not an address of this machine.") from exc
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise CannotStart(f"port {port} is in use. Set PORT to another one.") from exc
        raise CannotStart(f"{host}:{port} cannot be listened on ({exc.strerror}). Set HOST or PORT.") from exc


def check_redis() -> None:
    from django.conf import settings
    from django.core.cache import caches
    from redis.exceptions import RedisError

    if settings.REDIS_URL:
        try:
            caches["limits"].get("start")
        except (RedisError, OSError, ValueError) as exc:
            raise CannotStart(f"Redis does not answer ({type(exc).__name__}). Check REDIS_URL.") from exc


@contextlib.contextmanager
def one_at_a_time(data_dir: Path) -> Iterator[None]:
    """Hold the set-up of this data folder, and of this database, for one process."""
    from django.db import connection

    with (data_dir / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if connection.vendor != "postgresql":
            yield
            return
        with connection.cursor() as cursor:
            # Any number will do as long as every start of this service asks for the same.
            cursor.execute("SELECT pg_advisory_lock(7280441)")
            try:
                yield
            finally:
                cursor.execute("SELECT pg_advisory_unlock(7280441)")


def prepare_database(data_dir: Path) -> None:
    from django.core.management import call_command
    from django.db import DatabaseError, connections
    from django.db.utils import InterfaceError

    from chatproject import static

    try:
        with one_at_a_time(data_dir):
            call_command("migrate", interactive=False, verbosity=0)
            create_administrator()
            static.collect()
    except (DatabaseError, InterfaceError) as exc:
        raise CannotStart(
            f"the database does not answer ({type(exc).__name__}). Check DATABASE_URL."
        ) from exc
    finally:
        connections.close_all()


def create_administrator() -> None:
    """Create the first administrator, once: where there is no account at all."""
    from django.contrib.auth import get_user_model

    users = get_user_model().objects
    if users.exists():
        return
    name = os.environ.get("ADMIN_USERNAME", "").strip() or "admin"
    given = os.environ.get("ADMIN_PASSWORD", "")
    password = given or secrets.token_urlsafe(12)
    users.create_superuser(username=name, password=password)
    if not given:
        print(f"\n  Administrator created: {name}\n  Password, shown this once: {password}\n", flush=True)


def allow_open_files() -> None:
    """Take as many open files as the system gives without asking: an open stream needs two of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def serve(**options: Any) -> None:
    """Serve until a signal ends it; `options` are uvicorn's, in place of the usual ones."""
    import uvicorn
    from django.conf import settings

    from chatproject.env import env_bool, env_int
    from chatproject.protocol import BoundedProtocol

    allow_open_files()
    host, port = address()
    processes = env_int("WEB_CONCURRENCY", 1)
    if processes > 1 and settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        raise CannotStart("more than one process (WEB_CONCURRENCY) needs PostgreSQL. Set DATABASE_URL.")
    shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 (compared, not bound)
    print(f"  Chat page: http://{f'[{shown}]' if ':' in shown else shown}:{port}/\n", flush=True)
    usual: dict[str, Any] = {
        "app": "chatproject.asgi:application",
        "host": host,
        "port": port,
        "workers": processes,
        "lifespan": "on",
        "http": BoundedProtocol,
        "ws": "none",
        # Without a list of trusted proxies, nobody may name another client's address.
        "proxy_headers": bool(os.environ.get("FORWARDED_ALLOW_IPS", "").strip()),
        "log_config": None,
        "access_log": env_bool("ACCESS_LOG", False),
        "server_header": False,
        # The running answers end first, by our own signal handler; this bounds everything after it.
        "timeout_graceful_shutdown": int(settings.CHAT_SHUTDOWN_GRACE_SECONDS) + 5,
    }
    uvicorn.run(**usual | options)


def reloading() -> dict[str, Any]:
    """Return the options for development: restart when a file changes, and log every request."""
    folders = ("accounts", "chat", "chatproject", "providers", "templates", "locale")
    return {
        "app": "chatproject.development:application",
        "reload": True,
        "reload_dirs": [str(secret.PROJECT / folder) for folder in folders],
        "reload_includes": ["*.html", "*.css", "*.js", "*.json", "*.mo"],
        "access_log": True,
    }


if __name__ == "__main__":
    main()
