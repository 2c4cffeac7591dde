"""How the tests are run: the workers of `make test`, and the commands that the forge calls."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def _no_number_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)


def workers(config: pytest.Config, *arguments: str, **options: Any) -> int:
    chosen = SimpleNamespace(
        args=list(arguments), getoption=lambda name, default=None: options.get(name, default)
    )
    return int(config.hook.pytest_xdist_auto_num_workers(config=chosen))


@pytest.mark.parametrize(("cores", "expected"), [(1, 2), (2, 3), (4, 5), (64, 8)])
def test_workers_follow_the_cores(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch, cores: int, expected: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert workers(pytestconfig, "tests") == expected
    assert workers(pytestconfig, "tests/chat", "tests/page") == expected


def test_a_few_tests_start_no_workers(pytestconfig: pytest.Config) -> None:
    assert workers(pytestconfig, "tests/chat/test_stream.py") == 0
    assert workers(pytestconfig, "tests/chat/test_stream.py::test_one", "tests/test_cors.py") == 0
    assert workers(pytestconfig, "tests", lf=True) == 0
    assert workers(pytestconfig, "tests", collectonly=True) == 0


def test_the_number_of_workers_can_be_set(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "7")
    assert workers(pytestconfig, "tests/test_cors.py") == 7


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", [".github/workflows/ci.yml", ".pre-commit-config.yaml", ".ci/run"])
def test_every_make_target_that_is_called_exists(name: str) -> None:
    text = (PROJECT / name).read_text()
    if name != ".ci/run":
        yaml.safe_load(text)
    called = set(re.findall(r"^[^#\n]*?\bmake ([a-z-]+)", text, re.MULTILINE))
    assert "lint" in called
    assert called <= targets()
