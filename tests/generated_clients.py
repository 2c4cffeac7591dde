"""Clients that widespread generators make of the API's description."""

import hashlib
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tests import services
from tests.environment import FOLDER

SOURCES = Path(__file__).resolve().parent / "generators"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ai-chat-tests"
INSTALL_SECONDS = 300
RUN_SECONDS = 120


def npm_packages() -> Path:
    """Return the folder with the generators from npm, installed once for each lockfile on this machine."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise services.Unavailable("node and npm are not installed")
    lockfile = (SOURCES / "package-lock.json").read_bytes()
    folder = CACHE / f"generators-{hashlib.sha256(lockfile).hexdigest()[:12]}"
    with services.locked("npm-packages"):
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            draft = folder.with_name(f"{folder.name}.{os.getpid()}")
            shutil.copytree(SOURCES, draft)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            try:
                installed = subprocess.run(
                    command, cwd=draft, capture_output=True, text=True, timeout=INSTALL_SECONDS
                )
                if installed.returncode:
                    raise services.Unavailable(f"npm cannot install generators: {installed.stderr[-500:]}")
                draft.rename(folder)
            except subprocess.TimeoutExpired:
                raise services.Unavailable("npm did not install the generators in time") from None
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return folder / "node_modules"


class Workshop:
    """A folder with the description of the API, where clients are generated, built and run."""

    def __init__(self, name: str, description: bytes) -> None:
        self.folder = FOLDER / name
        self.folder.mkdir()
        (self.folder / "openapi.json").write_bytes(description)

    def add_npm_packages(self) -> None:
        packages = npm_packages()
        for source in SOURCES.iterdir():
            shutil.copy(source, self.folder)
        (self.folder / "node_modules").symlink_to(packages)
        (self.folder / "generated").mkdir()

    def start(self, *command: str, **environ: str) -> "subprocess.Popen[str]":
        """Start a program of an npm package, or another one by its path."""
        program = self.folder / "node_modules" / ".bin" / command[0]
        return subprocess.Popen(
            [str(program) if program.exists() else command[0], *command[1:]],
            cwd=self.folder,
            env=os.environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str, **environ: str) -> str:
        return finish(self.start(*command, **environ))

    def run_program(self, source: str, **environ: str) -> Any:
        """Build a TypeScript program, run it, and return what it prints in JSON."""
        options = ("--bundle", "--platform=node", "--outfile=program.cjs", "--log-level=error")
        self.run("esbuild", source, *options)
        return json.loads(self.run("node", "program.cjs", **environ).splitlines()[-1])


def finish(process: "subprocess.Popen[str]") -> str:
    """Wait for a program to succeed, and return what it has written."""
    try:
        written, _ = process.communicate(timeout=RUN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, f"{process.args!r}: {written}"
    return written


def python_client(workshop: Workshop) -> ModuleType:
    """Generate a client with openapi-python-client and import it."""
    if importlib.util.find_spec("openapi_python_client") is None:
        raise services.Unavailable("openapi-python-client is not installed")
    (workshop.folder / "config.yml").write_text("post_hooks: []\n")
    options = ("--meta=none", "--config=config.yml", "--output-path=python_chat", "--fail-on-warning")
    generate = (sys.executable, "-m", "openapi_python_client", "generate", "--path=openapi.json")
    written = workshop.run(*generate, *options)
    sys.path.insert(0, str(workshop.folder))
    try:
        return importlib.import_module("python_chat")
    except ImportError as exc:
        raise AssertionError(f"{exc}: {written}") from exc
    finally:
        sys.path.remove(str(workshop.folder))
