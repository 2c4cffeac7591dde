import os
import subprocess
import sys

import psycopg
import redis

from tests.environment import shut_out


def test_postgres_is_real_and_each_test_has_its_own_database(postgres, postgres_url):
    other = postgres.create_database()
    with psycopg.connect(postgres_url, autocommit=True) as here, psycopg.connect(other) as there:
        here.execute("CREATE TABLE only_here ()")

        found = there.execute("SELECT to_regclass('only_here')").fetchone()
        version = here.execute("SHOW server_version_num").fetchone()

    postgres.drop_database(other)
    assert found == (None,)
    assert version is not None
    assert int(version[0]) >= 150000


def test_redis_is_real(redis_url):
    client = redis.Redis.from_url(redis_url)

    client.set("tooling:greeting", "hello", ex=60)

    assert client.get("tooling:greeting") == b"hello"
    assert client.ttl("tooling:greeting") > 0


def test_what_steers_the_service_is_shut_out():
    environ = dict.fromkeys(
        [
            "SECRET_KEY",
            "SECRET_KEY_FILE",
            "PORT",
            "DATA_DIR",
            "DATABASE_URL",
            "REDIS_URL",
            "OPENAI_API_KEY",
            "CHAT_RATE_LIMIT",
            "LOGIN_RATE_LIMIT",
            "PGPASSWORD",
            "https_proxy",
            "HTTP_PROXY",
        ],
        "x",
    )

    shut_out(environ | {"PATH": "x"})
    kept = environ | {"PATH": "x", "HOME": "y", "REAL_LLM_BASE_URL": "z", "TEST_DATABASE_URL": "t"}
    shut_out(kept)

    assert kept == {"PATH": "x", "HOME": "y", "REAL_LLM_BASE_URL": "z", "TEST_DATABASE_URL": "t"}


def test_an_environment_full_of_settings_does_not_reach_the_tests():
    disturbing = {
        "PORT": "1",
        "DATA_DIR": "/nonexistent",
        "SECRET_KEY": "short",
        "DATABASE_URL": "mysql://nowhere/x",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "DJANGO_SETTINGS_MODULE": "chatproject.settings",
        "CHAT_MAX_RUNNING": "none",
    }
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TESTS_")} | disturbing

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", __file__]
    collected = subprocess.run(command, env=environ, capture_output=True, text=True)

    assert collected.returncode == 0, collected.stdout + collected.stderr
