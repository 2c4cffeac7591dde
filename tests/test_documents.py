"""What the documents say to type works as it is printed, and what they list is all there is."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from providers.specs import SPECS
from tests.server import PROJECT, Server

READMES = ["README.md", "README.zh-hans.md"]
API_GUIDE = "docs/api.md"
# Set by the service itself, for itself or for its libraries.
INTERNAL = {"DJANGO_SETTINGS_MODULE", "PROMETHEUS_MULTIPROC_DIR"}
# Keys for everybody, one for each provider; the settings read them by the providers' own list.
KEY_VARIABLES = {spec.key_variable for spec in SPECS} - {""}


def text_of(document: str) -> str:
    return (PROJECT / document).read_text(encoding="utf-8")


def code_of(document: str, language: str, server: Server) -> str:
    """Return all blocks of a language, one after the other, for a server that listens elsewhere."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text_of(document), re.DOTALL | re.MULTILINE)
    return "\n".join(blocks).replace("http://127.0.0.1:8000", server.base_url)


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("readme", READMES)
def test_the_walk_through_works_as_printed(sqlite_server, tmp_path, readme):
    # Each reader of it begins on a fresh server; here two of them share one.
    code = code_of(readme, "sh", sqlite_server).replace('"ada"', f'"ada-{len(readme)}"')

    shown = run(["bash", "-e", "-c", code], tmp_path)

    assert '"keyHint":"••••-key"' in shown
    assert shown.count("event: done\n") == 2
    assert '"error"' not in re.sub(r'"error":null', "", shown)
    assert shown.endswith('{"success":true}{"success":true}')


@pytest.mark.long
def test_the_guides_curl_examples_work_as_printed(sqlite_server, tmp_path):
    shown = run(["bash", "-e", "-c", code_of(API_GUIDE, "sh", sqlite_server)], tmp_path)

    assert '"stopped":true' in shown
    assert "\n304\n" in shown or "}304\n" in shown
    assert '{"error"' not in shown
    # One for the answer that was picked up, two for the one that was asked for twice, three for the branches.
    assert len(re.findall(r'^data: .*"status":"complete"', shown, re.MULTILINE)) == 7
    assert shown.endswith('{"success":true}')


def test_the_guides_python_works_as_printed(sqlite_server, tmp_path):
    shown = run([sys.executable, "-c", code_of(API_GUIDE, "python", sqlite_server)], tmp_path)

    assert shown.startswith("You said: *Hello!*")
    assert shown.endswith(" Hello!\n")


def test_the_guides_javascript_works_as_printed(page, sqlite_server):
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{sqlite_server.base_url}/accounts/login")

    page.evaluate(f"async () => {{ {code_of(API_GUIDE, 'js', sqlite_server)} }}")

    assert any(text.startswith("You said: *Hello!*") for text in said)
    assert said[-1] == "stopped"


def variables() -> set[str]:
    """Return what the service reads from its environment."""
    settings = text_of("chatproject/settings.py")
    launch = text_of("chatproject/launch.py")
    found = set(re.findall(r'\benv_\w+\(\s*"([A-Z_]+)"', settings + launch))
    found |= set(re.findall(r'\bos\.environ(?:\.get\(|\.setdefault\(|\[)"([A-Z_]+)"', settings + launch))
    found |= KEY_VARIABLES
    return {name.removesuffix("_FILE") for name in found} - INTERNAL


@pytest.mark.parametrize("readme", READMES)
def test_the_configuration_table_names_every_variable(readme):
    rows = re.findall(r"^\| (`[A-Z_]+`.*?) \|", text_of(readme), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}

    assert len(variables()) > 30
    assert named == variables()


@pytest.mark.parametrize("readme", READMES)
def test_the_configuration_table_marks_what_can_be_a_file(readme):
    secret = set(re.findall(r'env_secret\("([A-Z_]+)"', text_of("chatproject/settings.py")))
    secret |= KEY_VARIABLES

    marked = set(re.findall(r"`([A-Z_]+)`\\\*", text_of(readme)))

    assert marked == secret


def test_every_variable_reaches_the_container() -> None:
    compose = yaml.safe_load(text_of("compose.yaml"))
    app = compose["services"]["app"]
    listed = re.findall(r"^(?:# )?([A-Z_]+)=", text_of(".env.example"), re.MULTILINE)
    fixed = {"HOST", "PORT", "DATA_DIR", "DATABASE_URL", "REDIS_URL"}

    assert app["env_file"] == ".env"
    assert sorted(listed) == sorted((variables() - fixed) | {"POSTGRES_PASSWORD"}), "each once, and no other"
    # What stands here wins over the file, so it is what the file cannot set, or takes from there.
    assert {name for name in app["environment"] if name not in fixed} == {"WEB_CONCURRENCY"}
    assert app["environment"]["WEB_CONCURRENCY"] == "${WEB_CONCURRENCY:-2}"
    assert "host.docker.internal:host-gateway" in app["extra_hosts"]
    grace = re.search(r'"CHAT_SHUTDOWN_GRACE_SECONDS", (\d+)', text_of("chatproject/settings.py"))
    assert grace and int(app["stop_grace_period"].rstrip("s")) >= int(grace[1]) + 10


def test_a_line_of_the_example_file_is_taken_by_the_settings(tmp_path) -> None:
    """Start from all lines without their comment marks, but for what is of another database or a wish."""
    values = dict(re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", text_of(".env.example"), re.MULTILINE))
    environ = values | {"DATA_DIR": str(tmp_path), "SECRET_KEY": "x" * 40, "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", "import chatproject.settings"]

    done = subprocess.run(command, cwd=PROJECT, env=environ, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr


def test_the_guide_names_every_code(sqlite_server):
    from chat.faults import FAULTS

    with sqlite_server.client() as client:
        described = json.dumps(client.get("/api/schema").json())
    codes = set(re.findall(r'"code": "([a-z_]+)"', described)) | FAULTS.keys()

    assert len(codes) > 40
    assert {code for code in codes if f"`{code}`" not in text_of(API_GUIDE)} == set()


@pytest.mark.parametrize(
    "document",
    [
        *READMES,
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        *(f"docs/{path.name}" for path in (PROJECT / "docs").glob("*.md")),
    ],
)
def test_links_to_files_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(document))
    local = [link for link in links if not re.match(r"[a-z]+:", link)]

    assert [link for link in local if not (PROJECT / document).parent.joinpath(link).exists()] == []


def test_a_conversation_has_one_name_in_chinese() -> None:
    catalogue = text_of("locale/zh_Hans/LC_MESSAGES/django.po")

    assert re.findall(r"msgstr .*会话.*", catalogue) == ['msgstr "会话不存在"'], "one text of the API alone"
