"""Hold a conversation with a real model through the running service, and print it.

    python scripts/try_real_model.py                      both are started here and ended again
    python scripts/try_real_model.py --server http://127.0.0.1:8000
    python scripts/try_real_model.py --base-url https://api.example.com/v1 --model NAME   (key: MODEL_API_KEY)

Registers somebody new, stores the provider, streams an answer in English and one in Chinese, reads them
back, renames, stops a running answer while watching whether the model really stops, and deletes. Exits
with 1 at the first thing that is not as the contract says. Prints no key and no token.
"""

import argparse
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

PROJECT = Path(__file__).resolve().parent.parent
START_SECONDS = 60
LOOK_EVERY_SECONDS = 0.02


class Broken(Exception):
    """Something is not as the contract says."""


def main() -> int:
    options = parse_arguments()
    with contextlib.ExitStack() as stack:
        try:
            model = given_model(options) if options.base_url else stack.enter_context(own_model())
            server = options.server or stack.enter_context(own_server())
            headers = {"Accept-Language": "zh-hans"}
            with httpx.Client(base_url=server, timeout=120, trust_env=False, headers=headers) as client:
                hold_conversation(client, model)
        except (Broken, httpx.HTTPError) as fault:
            print(f"\nNOT AS THE CONTRACT SAYS: {fault or type(fault).__name__}", file=sys.stderr)
            return 1
    print("\nEverything was as the contract says.")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--server", help="a running service, instead of one started here")
    parser.add_argument("--base-url", help="an OpenAI-compatible model server, instead of one started here")
    parser.add_argument("--model", help="the model's name there; the first it lists, if left out")
    parser.add_argument(
        "--api-key", default=os.environ.get("MODEL_API_KEY", ""), help="better in MODEL_API_KEY than here"
    )
    return parser.parse_args()


# --- The conversation --------------------------------------------------------------------------------


def hold_conversation(client: httpx.Client, model: "Model") -> None:
    register(client)
    configure(client, model)

    english = ask(client, model, "Hi! What is the capital of France? Answer in one short sentence.")
    session_id = english.session["sessionId"]
    chinese = ask(client, model, "请用中文说一句问候的话。", sessionId=session_id)
    expect(chinese.session["sessionId"] == session_id, "the second answer went to another conversation")

    read_back(client, session_id, [english, chinese])
    rename(client, session_id, "法国与问候 · France and greetings")
    # So small a model may tell its long story in three words, which leaves nothing to stop.
    expect(any(stop_midway(client, model, session_id) for _ in range(5)), "no answer was long enough to stop")
    delete(client, session_id)


def register(client: httpx.Client) -> None:
    name = f"visitor-{secrets.token_hex(4)}"
    body = {"username": name, "password": secrets.token_urlsafe(16)}
    signed_in = call(
        client, "POST", "/api/auth/register", 201, body, shown={"username": name, "password": "…"}
    )
    client.headers["Authorization"] = f"Bearer {signed_in['access']}"
    print(f"   user {signed_in['user']['username']}, tokens received")


def configure(client: httpx.Client, model: "Model") -> None:
    body = {"baseUrl": model.base_url, "defaultModel": model.name}
    secret = {"apiKey": model.api_key} if model.api_key else {}
    shown = body | ({"apiKey": "…"} if secret else {})
    config = call(client, "PUT", "/api/providers/custom/config", 200, body | secret, shown=shown)
    expect(not model.api_key or model.api_key not in json.dumps(config), "the key came back")
    print(f"   stored: base URL {config['baseUrl']}, model {config['defaultModel']}")


def read_back(client: httpx.Client, session_id: str, answers: list["Answer"]) -> None:
    listed = call(client, "GET", "/api/chat/sessions", 200)["sessions"]
    expect([session["id"] for session in listed] == [session_id], "the list is not this one conversation")
    print(f"   {listed[0]['title']!r}, {listed[0]['provider']} / {listed[0]['model']}")

    stored = call(client, "GET", f"/api/chat/sessions/{session_id}/messages", 200)["messages"]
    for message in stored:
        print(f"   {message['role']:>9}: {shorten(message['content'])}")
    expect([m["role"] for m in stored] == ["user", "assistant"] * len(answers), "messages are missing")
    for answer, message in zip(answers, stored[1::2], strict=True):
        expect(message["content"] == answer.text, "the stored text is not what was streamed")
        expect(message["id"] == answer.last["messageId"], "the stored message has another id")


def rename(client: httpx.Client, session_id: str, title: str) -> None:
    renamed = call(client, "PUT", f"/api/chat/sessions/{session_id}/title", 200, {"title": title})
    expect(renamed == {"success": True}, f"renaming answered {renamed}")
    session = call(client, "GET", f"/api/chat/sessions/{session_id}", 200)
    expect(session["title"] == title, f"the title is {session['title']!r}")
    print(f"   now called {session['title']!r}")


def stop_midway(client: httpx.Client, model: "Model", session_id: str) -> bool:
    """Stop an answer in its middle; return False where it ended before."""
    stopped_at = 0.0

    def stop_after_some(answer: "Answer") -> None:
        nonlocal stopped_at
        if stopped_at or answer.pieces < 5:
            return
        if model.watched:
            expect(model.busy() > 0, "the model is idle in the middle of its answer")
        stopped_at = time.monotonic()
        stopped = call(client, "POST", f"/api/chat/sessions/{session_id}/stop", 200)
        expect(stopped == {"stopped": True}, f"stopping answered {stopped}")
        if model.watched:
            took = model.wait_until_idle(stopped_at)
            print(f"   the model was idle {took * 1000:.0f} ms after the request to stop")

    question = "Tell me a very long story about a lighthouse keeper and the sea."
    answer = ask(client, model, question, sessionId=session_id, on_piece=stop_after_some)
    if not stopped_at:
        return False
    expect(answer.last["status"] == "stopped", f"the status is {answer.last['status']!r}, not stopped")
    stored = call(client, "GET", f"/api/chat/sessions/{session_id}/messages", 200)["messages"][-1]
    expect((stored["status"], stored["content"]) == ("stopped", answer.text), "what had come was not kept")
    print(f"   kept, as {stored['status']}: {shorten(stored['content'])}")
    return True


def delete(client: httpx.Client, session_id: str) -> None:
    deleted = call(client, "DELETE", f"/api/chat/sessions/{session_id}", 200)
    expect(deleted == {"success": True}, f"deleting answered {deleted}")
    gone = call(client, "GET", f"/api/chat/sessions/{session_id}/messages", 404)
    expect(gone["code"] == "session_not_found", f"the code is {gone['code']}")
    expect(gone["error"] == "会话不存在", f"the text is {gone['error']!r}")
    print(f"   {gone['error']}")


# --- One call, one answer ----------------------------------------------------------------------------


def call(
    client: httpx.Client, method: str, path: str, status: int, body: Any = None, *, shown: Any = None
) -> Any:
    shown = body if shown is None else shown
    print(f"\n-> {method} {path}" + (f" {json.dumps(shown, ensure_ascii=False)}" if shown else ""))
    response = client.request(method, path, json=body)
    print(f"<- {response.status_code}")
    expect(
        response.status_code == status, f"{status} was due, not {response.status_code}: {response.text[:300]}"
    )
    return response.json()


@dataclass
class Answer:
    """What one event stream brought."""

    session: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    pieces: int = 0


def ask(
    client: httpx.Client,
    model: "Model",
    message: str,
    *,
    on_piece: Callable[[Answer], None] | None = None,
    **more: str,
) -> Answer:
    body = {"message": message, "provider": "custom", "model": model.name} | more
    print(f"\n-> POST /api/chat/stream {json.dumps(body, ensure_ascii=False)}")
    answer = Answer()
    began = time.monotonic()
    first = 0.0
    with client.stream("POST", "/api/chat/stream", json=body) as response:
        print(f"<- {response.status_code} {response.headers['content-type']}")
        if response.status_code != 200:
            raise Broken(f"no stream began: {response.read().decode(errors='replace')[:300]}")
        for name, data in read_events(response):
            expect(not answer.last, "an event came after the last one")
            expect(bool(answer.session) or name == "session", f"the first event was {name}")
            match name:
                case "session":
                    answer.session = data
                case "message":
                    first = first or time.monotonic()
                    answer.text += data["content"]
                    answer.pieces += 1
                    if on_piece:
                        on_piece(answer)
                case "done":
                    answer.last = data
                case "error":
                    raise Broken(f"the answer ended with an error: {data['error']} ({data['code']})")
    expect(bool(answer.last), "the stream ended without a last event")
    expect(bool(answer.text), "the answer is empty")
    print(f"   {shorten(answer.text, 400)}")
    usage = answer.last["usage"] or {}
    whole = time.monotonic() - began
    print(
        f"   first token after {(first - began) * 1000:.0f} ms, the whole after {whole:.2f} s,"
        f" {answer.pieces} pieces, {usage.get('inputTokens')} tokens in, {usage.get('outputTokens')} out,"
        f" status {answer.last['status']}, finish reason {answer.last['finishReason']}"
    )
    return answer


def read_events(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    rest = b""
    for data in response.iter_raw():
        *blocks, rest = (rest + data).split(b"\n\n")
        for block in blocks:
            lines = [line for line in block.decode().split("\n") if not line.startswith(":")]
            fields = dict(line.split(": ", 1) for line in lines)
            expect(fields.keys() == {"event", "data", "id"}, f"an event with {sorted(fields)}")
            yield fields["event"], json.loads(fields["data"])


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)


def shorten(text: str, limit: int = 160) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[:limit]}…"


# --- The model and the service -----------------------------------------------------------------------


@dataclass
class Model:
    base_url: str
    name: str
    api_key: str = ""
    watched: bool = False  # it tells at /slots what it computes

    def busy(self) -> int:
        slots = httpx.get(f"{self.base_url.removesuffix('/v1')}/slots", trust_env=False).json()
        return sum(bool(slot["is_processing"]) for slot in slots)

    def wait_until_idle(self, since: float) -> float:
        while self.busy():
            expect(time.monotonic() - since < 10, "the model computes on, 10 s after the request to stop")
            time.sleep(LOOK_EVERY_SECONDS)
        return time.monotonic() - since


def given_model(options: argparse.Namespace) -> Model:
    base_url = options.base_url.rstrip("/")
    headers = {"Authorization": f"Bearer {options.api_key}"} if options.api_key else {}
    name = options.model
    if not name:
        listed = httpx.get(f"{base_url}/models", headers=headers).raise_for_status().json()
        name = listed["data"][0]["id"]
    model = Model(base_url, name, options.api_key)
    with contextlib.suppress(httpx.HTTPError, ValueError, LookupError, TypeError):
        model.busy()
        model.watched = True
    return model


@contextlib.contextmanager
def own_model() -> Iterator[Model]:
    script = [sys.executable, str(PROJECT / "scripts" / "real_model.py")]
    port = str(free_port())
    print("Starting the model …", flush=True)
    started = subprocess.run([*script, "start", port], stdout=subprocess.PIPE, text=True)
    if started.returncode != 0:
        raise Broken("the model could not be started")
    values = dict(line.split("=", 1) for line in started.stdout.splitlines())
    try:
        yield Model(values["BASE_URL"], values["MODEL"], watched=True)
    finally:
        subprocess.run([*script, "stop", port], check=False)


@contextlib.contextmanager
def own_server() -> Iterator[str]:
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"
    print("Starting the service …", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        # Nobody's real database, and no made-up password in a log.
        ours = {"HOST": "127.0.0.1", "PORT": port, "DATA_DIR": f"{folder}/data"}
        ours |= {"DATABASE_URL": "", "REDIS_URL": "", "WEB_CONCURRENCY": "1"}
        environ = os.environ | ours | {"ADMIN_PASSWORD": secrets.token_urlsafe(16)}
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "chatproject.launch"], cwd=PROJECT, env=environ, stdout=out, stderr=out
            )
        try:
            wait_until_ready(url, process, log)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise Broken(f"the service did not start:\n{log.read_text(errors='replace')[-2000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
