"""Build a virtual environment from a requirements file, or tell whether it is there already.

    python scripts/environment.py check VENV REQUIREMENTS    exit 0: VENV fits and can be used as it is
    python scripts/environment.py build VENV REQUIREMENTS    make it fit

Needs nothing but Python itself. A stamp inside the environment says what it was built from. The stamp is
removed before anything is changed and written when all is in place, so an interrupted build is seen and
repaired the next time.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STAMP = "built-from"
# Tells our environments from one that a person made by hand, which is never wiped.
MARKER = "made-by-make"


def main() -> int:
    match sys.argv[1:]:
        case ["check", venv, requirements]:
            return 0 if fits(Path(venv), Path(requirements)) else 1
        case ["build", venv, requirements]:
            return build(Path(venv), Path(requirements))
    print(__doc__, file=sys.stderr)
    return 2


def build(venv: Path, requirements: Path) -> int:
    with alone(requirements) as lock:
        # Whoever held the lock before may have done it all; and PYTHON=... may ask for what is there.
        if fits(venv, requirements):
            return 0
        try:
            prepare(venv)
            install(venv, requirements, lock)
        except Trouble as trouble:
            print(f"\n{trouble}", file=sys.stderr)
            return 1
        write_stamp(venv, requirements)
    return 0


class Trouble(Exception):
    """Why the environment could not be built, in words for the person who waits for it."""


@contextmanager
def alone(requirements: Path) -> Iterator[int]:
    """Hold the lock on one environment, waiting for whoever is building it.

    The kernel lets go of the lock when its holder dies, so it cannot be left behind. It sits on the
    requirements file itself and needs no file of its own.
    """
    with open(requirements, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another make is building the same environment; waiting for it.", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def prepare(venv: Path) -> None:
    """Leave a working environment of this Python's version at `venv`, without a stamp."""
    (venv / STAMP).unlink(missing_ok=True)
    ours = (venv / MARKER).exists()
    if venv.exists() and not ours and not (venv / "pyvenv.cfg").exists() and any(venv.iterdir()):
        raise Trouble(f"{venv} is there but is not a virtual environment. Move it away and try again.")
    complete = (venv / MARKER).exists() and (venv / MARKER).read_text() == "complete\n"
    if usable(venv) and (complete or not ours):
        if complete:
            # From here to the stamp, an interruption may leave half a package behind.
            (venv / MARKER).write_text("changing\n")
        return
    if venv.exists():
        print(
            f"Building {venv} anew: it is unfinished, or its Python is gone or another.",
            file=sys.stderr,
        )
        empty(venv)
    venv.mkdir(parents=True, exist_ok=True)
    (venv / MARKER).write_text("changing\n")
    made = subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True)
    if made.returncode != 0:
        raise Trouble(f"Making {venv} failed:\n{last_lines(made.stdout + made.stderr)}")


def install(venv: Path, requirements: Path, lock: int) -> None:
    print(f"Installing {requirements} into {venv}; the first time takes a minute or two.", file=sys.stderr)
    # These would send the packages somewhere else than into the environment.
    environ = {k: v for k, v in os.environ.items() if k not in {"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"}}
    environ["PIP_USER"] = "0"
    command = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--requirement", str(requirements)]
    # pip keeps the lock as well: should this process be killed, nobody else starts before pip has ended.
    pip = subprocess.run(
        command,
        env=environ,
        pass_fds=(lock,),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if pip.returncode != 0:
        raise Trouble(
            f"pip could not install {requirements}. It ended with:\n\n{last_lines(pip.stdout)}\n\n"
            "Is the network there? Behind a proxy, set HTTPS_PROXY; for another package index, set\n"
            "PIP_INDEX_URL. Then run the same command again."
        )


def fits(venv: Path, requirements: Path) -> bool:
    try:
        stamp = (venv / STAMP).read_text()
    except OSError:
        return False
    return stamp == fingerprint(requirements) and usable(venv)


def write_stamp(venv: Path, requirements: Path) -> None:
    if (venv / MARKER).exists():
        (venv / MARKER).write_text("complete\n")
    unfinished = venv / f"{STAMP}.new"
    unfinished.write_text(fingerprint(requirements))
    os.replace(unfinished, venv / STAMP)


def fingerprint(requirements: Path) -> str:
    """Say what an environment is made from: the pins, the kind of Python, the kind of machine."""
    digest = hashlib.sha256()
    for file in with_includes(requirements):
        digest.update(file.read_bytes())
    return f"{digest.hexdigest()} {python_kind()}\n"


def with_includes(requirements: Path) -> Iterator[Path]:
    yield requirements
    for line in requirements.read_text().splitlines():
        match line.split("#", 1)[0].split():
            case ["-r" | "--requirement" | "-c" | "--constraint", name]:
                yield from with_includes(requirements.parent / name)


def python_kind() -> str:
    major, minor = sys.version_info[:2]
    return f"{platform.python_implementation()}-{major}.{minor}-{sys.platform}-{platform.machine()}"


def usable(venv: Path) -> bool:
    """Tell whether the Python of `venv` runs, has pip, and is of the same kind as this one."""
    python = venv / "bin/python"
    if not python.exists():
        return False
    script = (
        "import importlib.util, platform, sys; assert importlib.util.find_spec('pip');"
        "print(f'{platform.python_implementation()}-{sys.version_info[0]}.{sys.version_info[1]}"
        "-{sys.platform}-{platform.machine()}')"
    )
    try:
        answer = subprocess.run([str(python), "-c", script], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.strip() == python_kind()


def empty(directory: Path) -> None:
    """Remove what is in `directory` but not itself, which may be a link or a mount."""
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def last_lines(text: str, count: int = 15) -> str:
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-count:])


if __name__ == "__main__":
    sys.exit(main())
