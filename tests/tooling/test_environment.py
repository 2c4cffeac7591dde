"""scripts/environment.sh, with requirements that need nothing from a package index."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


class Checkout:
    """A bare checkout in a folder with a space in its name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "scripts").mkdir(parents=True)
        for name in ("environment.sh", "environment.py"):
            shutil.copy(SCRIPTS / name, folder / "scripts")
        self.requirements = folder / "requirements.txt"
        self.requirements.write_text("# nothing\n")

    def build(self, **environ: str) -> subprocess.CompletedProcess[str]:
        path = environ.pop("PATH", "/usr/bin:/bin")
        return subprocess.run(self.command, env={"PATH": path} | environ, capture_output=True, text=True)

    @property
    def command(self) -> list[str]:
        return ["/bin/sh", str(self.folder / "scripts/environment.sh"), ".venv", "requirements.txt"]

    @property
    def venv(self) -> Path:
        return self.folder / ".venv"


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path / "a checkout")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    checkout = Checkout(tmp_path_factory.mktemp("template") / "a checkout")
    done = checkout.build(PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    return checkout


@pytest.fixture
def built(checkout, template):
    """A checkout whose environment is built; copied, because building one takes seconds."""
    shutil.copytree(template.venv, checkout.venv, symlinks=True)
    return checkout


def test_once_built_it_needs_neither_a_python_nor_pip(built):
    again = built.build(PATH="/usr/bin:/bin")

    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_new_requirements_are_installed(built):
    built.requirements.write_text("no-such-package-anywhere==1\n")

    done = built.build(PYTHON=sys.executable, PIP_NO_INDEX="1")

    assert done.returncode == 1
    assert "no-such-package-anywhere" in done.stderr
    assert "PIP_INDEX_URL" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (built.venv / "built-from").exists()


def test_changed_includes_count_as_well(built):
    (built.folder / "more.txt").write_text("# one\n")
    built.requirements.write_text("-r more.txt\n")
    assert "Installing" in built.build(PYTHON=sys.executable).stderr
    assert built.build(PYTHON=sys.executable).stderr == ""

    (built.folder / "more.txt").write_text("# two\n")

    assert "Installing" in built.build(PYTHON=sys.executable).stderr


def test_an_interrupted_build_is_repaired(built):
    (built.venv / "built-from").unlink()
    (built.venv / "made-by-make").write_text("changing\n")
    leftover = built.venv / "half-a-package"
    leftover.touch()

    assert built.build(PYTHON=sys.executable).returncode == 0

    assert not leftover.exists()
    assert built.build().stderr == ""


def test_a_python_that_vanished_is_replaced(built):
    (built.venv / "bin/python").unlink()
    (built.venv / "bin/python").symlink_to("/nonexistent/python3")

    done = built.build(PYTHON=sys.executable)

    assert done.returncode == 0, done.stderr
    assert subprocess.run([built.venv / "bin/python", "-c", ""]).returncode == 0


def test_an_environment_made_by_hand_is_used_and_never_wiped(built):
    (built.venv / "built-from").unlink()
    (built.venv / "made-by-make").unlink()
    (built.venv / "mine").touch()

    assert built.build(PYTHON=sys.executable).returncode == 0

    assert (built.venv / "mine").exists()
    assert built.build().stderr == ""


def test_a_folder_that_is_no_environment_is_left_alone(checkout):
    checkout.venv.mkdir()
    (checkout.venv / "precious").touch()

    done = checkout.build(PYTHON=sys.executable)

    assert done.returncode == 1
    assert "not a virtual environment" in done.stderr
    assert (checkout.venv / "precious").exists()


def test_two_at_once_share_one_build(checkout):
    environ = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}
    makes = [
        subprocess.Popen(checkout.command, env=environ, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]

    said = [make.communicate(timeout=120)[1] for make in makes]

    assert [make.returncode for make in makes] == [0, 0], said
    assert sum("Installing" in text for text in said) == 1, said


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ('echo "Python 3.8.1"; case "$2" in "") exit 0;; esac; exit 1', "too old: 3.11 or newer"),
        ('case "$2" in *ensurepip*) exit 1;; *print*) echo 3.12;; esac; exit 0', "python3.12-venv"),
        ("exit 127", "does not run"),
    ],
)
def test_a_python_that_will_not_do_is_named_with_what_to_do(checkout, script, told):
    python = checkout.folder / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)

    done = checkout.build(PYTHON=str(python))

    assert done.returncode == 1
    assert told in done.stderr
    assert not checkout.venv.exists()


def test_without_any_python_it_says_how_to_get_one(checkout, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "dirname").symlink_to(shutil.which("dirname"))

    done = checkout.build(PATH=str(tools))

    assert done.returncode == 1
    assert "No Python was found" in done.stderr
    assert "apt-get install python3" in done.stderr
