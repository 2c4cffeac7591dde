"""The real language model that tests marked `real_model` talk to."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests import services
from tests.server import NO_CERTIFICATES

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "real_model.py"


@dataclass(frozen=True)
class RealModel:
    base_url: str  # ends in /v1: chat completions, responses, messages
    name: str

    @property
    def root_url(self) -> str:
        return self.base_url.removesuffix("/v1")

    def busy_slots(self) -> int:
        """Return how many answers the model is computing at this moment."""
        slots: list[dict[str, Any]] = httpx.get(
            f"{self.root_url}/slots", trust_env=False, verify=NO_CERTIFICATES
        ).json()
        return sum(bool(slot["is_processing"]) for slot in slots)

    def wait_until_busy(self, timeout: float = 20) -> None:
        self._wait(lambda busy: busy > 0, timeout, "did not begin to compute")

    def wait_until_idle(self, timeout: float = 5) -> float:
        """Wait until it computes nothing, and return how long that took, in seconds."""
        return self._wait(lambda busy: busy == 0, timeout, "still computes")

    def _wait(self, reached: Any, timeout: float, failing: str) -> float:
        began = time.monotonic()
        while not reached(self.busy_slots()):
            if time.monotonic() - began > timeout:
                raise AssertionError(f"the model {failing} after {timeout} s")
            time.sleep(0.02)
        return time.monotonic() - began


def shared() -> RealModel:
    """Return the model that REAL_LLM_BASE_URL names, or one of our own, started once per run."""
    if given := os.environ.get("REAL_LLM_BASE_URL"):
        base_url = given.rstrip("/")
        try:
            listed = httpx.get(f"{base_url}/models", trust_env=False).raise_for_status().json()
        except httpx.HTTPError as exc:
            raise services.Unavailable(f"REAL_LLM_BASE_URL does not answer: {exc}") from exc
        return RealModel(base_url, os.environ.get("REAL_LLM_MODEL") or listed["data"][0]["id"])
    return _own(services.started_once("real-model", _start))


def strict() -> RealModel:
    """Return a model of our own whose chat template refuses turns that do not alternate."""
    return _own(services.started_once("strict-real-model", lambda: _start(REAL_MODEL_STRICT="1")))


def _own(told: str) -> RealModel:
    values = dict(line.split("=", 1) for line in told.splitlines())
    return RealModel(values["BASE_URL"], values["MODEL"])


def _start(**environ: str) -> str:
    port = str(services.free_port())
    command = [sys.executable, str(SCRIPT), "start", port]
    services.note("command", "\0".join([sys.executable, str(SCRIPT), "stop", port]))
    environ = os.environ | environ
    started = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=600)
    if started.returncode != 0:
        raise services.Unavailable(started.stderr.strip()[-800:])
    return started.stdout
