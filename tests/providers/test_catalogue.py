"""What is known of models: shipped, as staff have it, listed, and sent along."""

import http.server
import json
import re
import threading
import time
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, transaction

from providers import catalogue, entries
from providers.catalogue import Entry, find, look_up
from providers.models import ModelEntry
from providers.registry import PROVIDERS
from tests.accounts.visitor import Visitor
from tests.server import PROJECT, Server, User

ADMIN = "/admin/providers/modelentry/"
A, B, C, D = (Entry(context_window=size) for size in (1, 2, 3, 4))


# --- The shipped file ---------------------------------------------------------------------------------


def test_the_file_says_of_which_day_it_is_and_where_it_is_from():
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", catalogue.shipped().date)
    assert re.match(r"genai-prices \d+\.\d+\.\d+, ", catalogue.shipped().source)
    assert catalogue.FILE.stat().st_size < 100_000


def test_every_fact_is_plausible_and_of_a_provider_we_know():
    known = catalogue.shipped().entries

    assert set(known) <= set(PROVIDERS)
    for provider, models in known.items():
        for name, entry in models.items():
            where = f"{provider}/{name}"
            assert re.fullmatch(r"[^*\sA-Z]+\*?", name), where
            assert entry.context_window is None or 1000 < entry.context_window <= 10_000_000, where
            assert entry.max_output_tokens is None or entry.max_output_tokens >= 1000, where
            for price in (entry.input_price, entry.cached_price, entry.output_price):
                assert price is None or 0 <= price <= 1000, where
            assert entry.cached_price is None or entry.cached_price <= (entry.input_price or 0), where


@pytest.mark.parametrize(
    "provider", ["openai", "openai-responses", "anthropic", "gemini", "deepseek", "qwen"]
)
def test_the_models_we_suggest_are_known(provider):
    for model in PROVIDERS[provider].models:
        found = look_up(provider, model)
        assert found is not None and found.context_window is not None, model


def test_every_anthropic_model_we_suggest_says_how_much_it_writes():
    for model in PROVIDERS["anthropic"].models:
        found = look_up("anthropic", model)
        assert found is not None and found.max_output_tokens is not None, model


def test_the_example_of_the_guide_is_read():
    page = (PROJECT / "docs" / "adding-a-provider.md").read_text()
    example = re.search(r"```json\n(.*?)```", page, re.S)
    assert example
    text = f'{{"date": "", "sources": [], "providers": {{{example[1]}}}}}'

    known = catalogue.parse(text).entries

    assert look_up("cerebras", "gpt-oss-120b", known) == Entry(
        131072, 65536, Decimal("0.35"), None, Decimal("0.75")
    )
    assert look_up("cerebras", "llama-4", known) == Entry(131072)
    assert look_up("cerebras", "qwen-3-32b", known) == Entry(131072, retires=date(2026, 2, 16))


# --- Finding a model ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "entry"),
    [
        ("gpt-5", A),
        ("GPT-5", A),
        ("gpt-5-2025-08-07", A),
        ("gpt-5-20250807", A),
        ("gpt-5-latest", A),
        ("gpt-5-mini", B),
        ("gpt-5-mini-2025-08-07", B),
        ("gpt-5-nano-tiny", C),
        ("gpt-5-n", D),
        ("gpt-5-nano-large-2025-08-07", A),
        # Another model, of which nothing is known; not the shorter name's.
        ("gpt-50", None),
        ("gpt-5.1", None),
        ("gpt", None),
        ("", None),
    ],
)
def test_an_id_comes_before_its_release_and_that_before_the_longest_beginning(model, entry):
    names = {"gpt-5": A, "gpt-5-mini": B, "gpt-5-nano*": C, "gpt-5-*": D, "gpt-5-nano-large": A}

    assert find(names, model) is entry


def test_a_star_alone_is_every_model():
    assert find({"*": A, "b*": B}, "anything") is A
    assert find({"*": A, "b*": B}, "better") is B


def test_an_endless_id_costs_nothing():
    endless = "a" * 1_000_000
    begun = time.perf_counter()

    assert find({"*": A}, endless) is A
    assert find({f"{'a' * 199}*": B}, endless) is B
    assert look_up("openrouter", endless) is None
    assert time.perf_counter() - begun < 5


KNOWN = {
    "openrouter": {"openai/gpt-5": Entry(9, None, Decimal(5)), "openrouter/auto": Entry(8)},
    "openai": {"gpt-5": Entry(1, 2, Decimal(3), Decimal(1), Decimal(4)), "gpt-6": Entry(6)},
    "anthropic": {"claude-sonnet-4-5*": Entry(5, 4, Decimal(3))},
    "gemini": {"gemini-3": Entry(7)},
}


@pytest.mark.parametrize(
    ("provider", "model", "entry"),
    [
        ("openai", "gpt-5", Entry(1, 2, Decimal(3), Decimal(1), Decimal(4))),
        ("openai-responses", "gpt-5", Entry(1, 2, Decimal(3), Decimal(1), Decimal(4))),
        # Who serves it sets the price.
        ("azure", "gpt-5", Entry(1, 2)),
        ("azure", "my-deployment", None),
        ("openrouter", "openai/gpt-5", Entry(9, 2, Decimal(5))),
        ("openrouter", "openai/gpt-5:free", Entry(9, 2)),
        ("openrouter", "openai/gpt-6", Entry(6)),
        ("openrouter", "anthropic/claude-sonnet-4.5", Entry(5, 4)),
        ("openrouter", "google/gemini-3", Entry(7)),
        ("openrouter", "openrouter/auto", Entry(8)),
        ("openrouter", "somebody/gpt-5", None),
        ("openrouter", "gpt-5", None),
        # Any server may call its model so.
        ("custom", "gpt-5", None),
        ("ollama", "gpt-5", None),
    ],
)
def test_a_model_is_found_where_it_is_served(provider, model, entry):
    assert look_up(provider, model, KNOWN) == entry


def test_what_one_leaves_open_the_other_says():
    free = Entry(None, 5, Decimal(0))

    assert free.over(Entry(1, 2, Decimal(3), None, Decimal(4))) == Entry(1, 5, Decimal(0), None, Decimal(4))
    assert free.over(None) == free


# --- Staff's own entries ------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_migrations_make_the_models_as_they_are():
    call_command("makemigrations", "providers", "--check", "--dry-run", verbosity=0)
    assert ModelEntry.objects.count() == 0


@pytest.mark.django_db
def test_there_is_one_entry_for_a_model():
    ModelEntry.objects.create(provider="openai", model="gpt-5")

    with pytest.raises(IntegrityError), transaction.atomic():
        ModelEntry.objects.create(provider="openai", model="gpt-5")
    ModelEntry.objects.create(provider="azure", model="gpt-5")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("context_window", 0),
        ("max_output_tokens", -1),
        ("max_output_tokens", 1_000_000_001),
        ("input_price", Decimal("-0.01")),
        ("cached_price", Decimal("-1")),
        ("output_price", Decimal("0.0000001")),
        ("model", "a b"),
        ("model", "a*b"),
        ("model", "a**"),
        ("model", "a\n"),
    ],
)
def test_nonsense_is_refused(field, value):
    row = ModelEntry(**{"provider": "openai", "model": "m", field: value})

    with pytest.raises(ValidationError) as refused:
        row.clean_fields()
    assert list(refused.value.error_dict) == [field]


def test_what_costs_nothing_and_a_star_are_fine():
    ModelEntry(provider="openai", model="gpt-*", context_window=1, input_price=Decimal(0)).clean_fields()


@pytest.mark.django_db
def test_staff_have_the_last_word_field_by_field():
    ModelEntry.objects.create(
        provider="openai", model="gpt-4o*", max_output_tokens=77, input_price=Decimal(0)
    )
    shipped = look_up("openai", "gpt-4o")
    assert shipped

    said = entries.stated(PROVIDERS["openai"])

    got = entries.known("openai", "gpt-4o", said, Entry(context_window=5))
    assert got == Entry(5, 77, Decimal(0), shipped.cached_price, shipped.output_price, shipped.retires)
    assert entries.known("openai", "nobody-knows", said) == Entry()
    assert entries.stated(PROVIDERS["anthropic"]) == {}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("provider", "model", "wanted", "asked"),
    [
        # It has to be told.
        ("anthropic", "claude-opus-4-5-20251101", None, 64000),
        ("anthropic", "claude-3-5-haiku-20241022", None, 8192),
        ("anthropic", "claude-3-opus-20240229", None, 4096),
        ("anthropic", "claude-opus-4-20250514", None, 32000),
        ("anthropic", "claude-of-tomorrow", None, None),
        # A mode is for all models.
        ("anthropic", "claude-opus-4-5", 100, 100),
        ("anthropic", "claude-opus-4-5", 100_000, 64000),
        ("anthropic", "claude-of-tomorrow", 100_000, 100_000),
        ("openai", "gpt-4o", 100_000, 16384),
        ("openrouter", "openai/gpt-4o", 100_000, 16384),
        # Others know it themselves.
        ("openai", "gpt-4o", None, None),
        ("custom", "gpt-4o", 100_000, 100_000),
        ("demo", "demo", 100_000, 100_000),
    ],
)
def test_no_more_is_asked_for_than_wanted_and_than_the_model_writes(provider, model, wanted, asked):
    assert entries.output_limit(PROVIDERS[provider], model, wanted) == asked


@pytest.mark.django_db
def test_it_is_asked_of_the_database_only_where_it_matters(django_assert_num_queries: Any):
    with django_assert_num_queries(0):
        entries.output_limit(PROVIDERS["openai"], "gpt-4o", None)
    with django_assert_num_queries(1):
        entries.output_limit(PROVIDERS["anthropic"], "claude-opus-4-5", None)


@pytest.mark.django_db
def test_how_much_it_may_read_is_told_where_the_rest_would_be_cut(django_assert_num_queries: Any):
    ModelEntry.objects.create(provider="ollama", model="qwen3*", context_window=65536)
    ModelEntry.objects.create(provider="custom", model="qwen3*", context_window=65536)

    assert entries.context_window(PROVIDERS["ollama"], "qwen3:8b") == 65536
    assert entries.context_window(PROVIDERS["ollama"], "llama3") is None
    with django_assert_num_queries(0):
        assert entries.context_window(PROVIDERS["custom"], "qwen3:8b") is None


# --- Over HTTP ----------------------------------------------------------------------------------------


class Maker(http.server.BaseHTTPRequestHandler):
    """Anthropic as far as we need it: a list of models, and a short answer; it notes what it is asked."""

    asked: list[dict[str, Any]]
    models: list[dict[str, Any]]

    def do_GET(self) -> None:
        self._answer("application/json", json.dumps({"data": self.models, "has_more": False}))

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        events = [
            {"type": "message_start", "message": {"usage": {"input_tokens": 1}}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ]
        self._answer("text/event-stream", "".join(f"data: {json.dumps(event)}\n\n" for event in events))

    def _answer(self, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def maker() -> Iterator[tuple[str, type[Maker]]]:
    class Handler(Maker):
        asked: list[dict[str, Any]] = []
        models: list[dict[str, Any]] = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", Handler
        server.shutdown()
        thread.join()


@pytest.fixture
def administrator(server: Server) -> Visitor:
    visitor = Visitor(server)
    visitor.sign_in("admin", server.environ["ADMIN_PASSWORD"])
    return visitor


def form(model: str, **values: Any) -> dict[str, Any]:
    names = ("context_window", "max_output_tokens", "input_price", "cached_price", "output_price")
    return {"provider": "anthropic", "model": model} | dict.fromkeys(names, "") | values


def a_model() -> str:
    # Tests side by side share a server.
    return f"m-{uuid4().hex[:12]}"


def page_of(administrator: Visitor, model: str) -> str:
    found = re.search(rf"{ADMIN}\d+/change/", administrator.get(f"{ADMIN}?q={model}").text)
    assert found
    return found[0]


def test_the_list_says_what_the_provider_does_not(
    server: Server, administrator: Visitor, maker: tuple[str, type[Maker]]
) -> None:
    url, handler = maker
    ours = a_model()
    handler.models = [
        {"id": "claude-opus-4-5-20251101", "display_name": "Claude Opus 4.5"},
        {"id": "claude-3-opus-20240229", "max_input_tokens": 12345},
        {"id": "claude-of-tomorrow"},
        {"id": f"{ours}-large", "max_input_tokens": 5},
    ]
    alice = server.user()
    alice.configure("anthropic", baseUrl=url, apiKey="sk-0123456789ab")

    before = alice.get("/api/providers/anthropic/models").json()["models"]
    added = administrator.submit(f"{ADMIN}add/", form(f"{ours}*", context_window=7000, output_price="0.25"))
    after = alice.get("/api/providers/anthropic/models").json()["models"]

    assert before == [
        {
            "id": "claude-opus-4-5-20251101",
            "name": "Claude Opus 4.5",
            "contextWindow": 200000,
            "maxOutputTokens": 64000,
            "prices": {"input": 5, "cachedInput": 0.5, "output": 25},
        },
        {
            "id": "claude-3-opus-20240229",
            "contextWindow": 12345,
            "maxOutputTokens": 4096,
            "prices": {"input": 15, "cachedInput": 1.5, "output": 75},
        },
        {"id": "claude-of-tomorrow"},
        {"id": f"{ours}-large", "contextWindow": 5},
    ]
    assert added.status_code == 302
    # A list that is kept does not outlive what staff say.
    assert after[:3] == before[:3]
    assert after[3] == {"id": f"{ours}-large", "contextWindow": 7000, "prices": {"output": 0.25}}


def limit_sent(user: User, handler: type[Maker], model: str, **body: Any) -> int:
    answer = user.stream("Hi", provider="anthropic", model=model, **body)
    assert answer.names[-1] == "done", answer.names
    return int(handler.asked[-1]["max_tokens"])


def test_the_limit_that_has_to_be_sent_is_the_models(
    server: Server, administrator: Visitor, maker: tuple[str, type[Maker]]
) -> None:
    url, handler = maker
    alice = server.user()
    alice.configure("anthropic", baseUrl=url, apiKey="sk-0123456789ab")
    ours = a_model()

    assert limit_sent(alice, handler, "claude-sonnet-4-5") == 64000
    assert limit_sent(alice, handler, "claude-3-haiku-20240307") == 4096
    assert limit_sent(alice, handler, ours) == 32000
    administrator.submit(f"{ADMIN}add/", form(ours, max_output_tokens=1234))
    assert limit_sent(alice, handler, ours) == 1234

    # However an answer is asked for.
    session = alice.get("/api/chat/sessions").json()
    newest = (session.get("results") or session.get("sessions"))[0]["id"]
    with alice.opened("POST", f"/api/chat/sessions/{newest}/regenerate", json={}) as live:
        live.rest()
    assert [asked["max_tokens"] for asked in handler.asked[-2:]] == [1234, 1234]


def test_staff_find_and_change_an_entry_and_see_what_is_shipped(administrator: Visitor) -> None:
    model = f"claude-3-opus-{a_model()}"

    added = administrator.submit(f"{ADMIN}add/", form(model.upper(), input_price="1.5"))
    listed = administrator.get(f"{ADMIN}?q={model}").text
    page = administrator.get(page_of(administrator, model)).text
    administrator.submit(page_of(administrator, model), form(model, context_window=4242))
    changed = administrator.get(page_of(administrator, model)).text

    assert added.status_code == 302
    for shown in (listed, page):
        assert "200,000 · 4,096 · $15 · $1.5 · $75" in shown
    assert catalogue.shipped().date in page and "genai-prices" in page
    assert 'value="1.500000"' in page
    assert 'value="4242"' in changed and 'value="1.500000"' not in changed
    assert model not in administrator.get(f"{ADMIN}?q=nothing-like-it").text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "Give at least one value"),
        ({"context_window": "0"}, "greater than or equal to 1"),
        ({"max_output_tokens": "-5"}, "greater than or equal to 0"),
        ({"input_price": "-1"}, "greater than or equal to 0"),
        ({"output_price": "much"}, "Enter a number"),
        ({"context_window": "9" * 30}, "less than or equal to 1000000000"),
        ({"model": "a * b", "context_window": "1"}, "no blanks"),
        ({"provider": "demo", "context_window": "1"}, "Select a valid choice"),
    ],
)
def test_the_admin_refuses_nonsense(administrator: Visitor, values: dict[str, str], text: str) -> None:
    response = administrator.submit(f"{ADMIN}add/", form(model := a_model()) | values)

    assert response.status_code == 200
    assert text in response.text
    assert f'/change/">{model}' not in administrator.get(ADMIN).text


def test_the_admin_takes_a_model_once(administrator: Visitor) -> None:
    model = a_model()

    first = administrator.submit(f"{ADMIN}add/", form(model, context_window=1))
    second = administrator.submit(f"{ADMIN}add/", form(model.upper(), context_window=2))

    assert (first.status_code, second.status_code) == (302, 200)
    assert "already is an entry" in second.text


def test_the_entries_are_for_staff(server: Server) -> None:
    user = server.user()
    stranger, alice = Visitor(server), Visitor(server)
    alice.sign_in(user.username, user.password)

    for visitor in (stranger, alice):
        assert visitor.get(f"{ADMIN}add/").status_code == 302
