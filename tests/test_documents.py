"""What the documents say to type works as it is printed, and what they list is all there is."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
