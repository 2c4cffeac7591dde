"""Make `providers/catalogue.json` from the packages that publish facts about models, or check its age.

    python scripts/catalogue.py make     download the newest packages and write the file
    python scripts/catalogue.py check    exit 1 where the file or a suggested model is too old

`make` needs pip and the network; the packages go to a temporary folder and are gone afterwards. genai-prices
gives context windows and prices, litellm the most output tokens, the dates of retirement, and the models that
the first does not know. Where prices change with the hour, the highest counts: a cost that is shown must
not be too low.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from providers import catalogue  # noqa: E402  the project is no package that is installed
from providers.catalogue import Entry, find  # noqa: E402
from providers.registry import PROVIDERS  # noqa: E402

PRICES = ("input_cost_per_token", "cache_read_input_token_cost", "output_cost_per_token")
# One model, in a package's own words.
Facts = dict[str, Any]

OLDEST = timedelta(days=60)
NOTICE = timedelta(days=30)

COLUMNS = ["contextWindow", "maxOutputTokens", "input", "cachedInput", "output", "retires"]
URLS = {
    "genai-prices": "https://github.com/pydantic/genai-prices",
    "litellm": "https://github.com/BerriAI/litellm",
}
GIVES = {
    "genai-prices": "context windows and prices; the base price where there are steps, the highest of a day",
    "litellm": "most output tokens, dates of retirement, and the models that the first does not know",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the facts about one provider's models are found, and which of the names there are its own."""

    genai: str = ""
    litellm: str = ""
    prefix: str = ""
    # Names that others use for the same models, or that are no chat models, do not match it.
    names: str = ""
    # Whether the second package's prices are those of this provider, too.
    priced: bool = True


ORIGINS = {
    "openai": Origin("openai", "openai", names=r"(?!gpt-\d-\d|gpt-35|text-)(gpt|chat|codex|o\d)"),
    "anthropic": Origin("anthropic", "anthropic", names=r"claude-(?![45])[^.@]+$"),
    "gemini": Origin(
        "google", "gemini", "gemini/", r"(gemini-[\d.]+-(?!pro-0)|gemini-(flash|pro)(-lite)?-latest|gemma)"
    ),
    "deepseek": Origin("deepseek", "deepseek", "deepseek/"),
    "qwen": Origin("", "dashscope", "dashscope/"),
    "zhipu": Origin("zhipuai", "zai", "zai/", priced=False),
    "zhipu-intl": Origin("zai", "zai", "zai/"),
    "moonshot": Origin("moonshotai", "moonshot", "moonshot/", r"(kimi|moonshot)-"),
    "mistral": Origin("mistral", "mistral", "mistral/"),
    "groq": Origin("groq", "groq", "groq/"),
    "xai": Origin("x-ai", "xai", "xai/", r"grok"),
    # Of the thousand models that it lists, those of makers whose models people ask for by name.
    "openrouter": Origin(
        "openrouter",
        "openrouter",
        "openrouter/",
        r"(anthropic|deepseek|google|minimax|mistralai|moonshotai|openai|qwen|x-ai|z-ai)/(?!.*[*])",
    ),
    "minimax": Origin("minimax", "minimax", "minimax/", r"minimax-m"),
    "volcengine": Origin("", "volcengine", "volcengine/"),
    "tencent": Origin("", "tencent", "tencent/"),
    "xiaomi": Origin("", "xiaomi_mimo", "xiaomi_mimo/"),
    "together": Origin("together", "together_ai", "together_ai/", r".+/"),
    "fireworks": Origin("fireworks", names=r"accounts/"),
    "cerebras": Origin("cerebras", "cerebras", "cerebras/", r"(?!cerebras)"),
    "perplexity": Origin("perplexity", "perplexity", "perplexity/", r"sonar"),
}
# Neither package says how much Anthropic's older models write, and its protocol has to name a limit: these
# limits are from Anthropic's documentation.
BY_HAND: dict[str, dict[str, Entry]] = {
    "anthropic": {
        name: Entry(max_output_tokens=most)
        for name, most in {
            "claude-2*": 4096,
            "claude-3-5-haiku*": 8192,
            "claude-3-5-sonnet*": 8192,
            "claude-3-7-sonnet*": 64000,
            "claude-3-haiku*": 4096,
            "claude-3-opus*": 4096,
            "claude-3-sonnet*": 4096,
            "claude-opus-4": 32000,
            "claude-opus-4-0*": 32000,
            "claude-opus-4-1*": 32000,
            "claude-sonnet-4": 64000,
            "claude-sonnet-4-0*": 64000,
        }.items()
    }
}
# What is no chat model: its name says so, for only one of the packages tells kinds apart.
NO_CHAT = re.compile(
    r"audio|babbage|computer-use|davinci|dall-e|deep-research|embed|guard|image|-instruct[*]|live|lyria|moderation"
    r"|native|ocr|omni|orpheus|realtime|rerank|robotics|search-|sora|speech|transcri|tts|veo|vision-exp|voice|voxtral"
    r"|whisper|^ft:|[.]ft-|up-to-|b-to-|-above-|default$|/preset/|:extended|:thinking|^[\w-]+\d+b-\d+b$"
)
NAME = re.compile(r"[^*\sA-Z]+\*?")


# --- Reading the packages -----------------------------------------------------------------------------

# Runs under a Python that has genai-prices and prints its facts as JSON.
_EXPORT = """
import json, sys
from datetime import date
from genai_prices import data

today = date.fromisoformat(sys.argv[1])

def names(clause, own):
    kind = type(clause).__name__
    if kind == "ClauseEquals":
        return [clause.equals]
    if kind == "ClauseStartsWith":
        return [clause.starts_with + "*"]
    if kind == "ClauseOr":
        return [name for each in clause.or_ for name in names(each, own)]
    return [own]

def base(price):
    price = getattr(price, "base", price)
    return None if price is None else str(price)

def priced(prices):
    return [base(getattr(prices, name, None)) for name in ("input_mtok", "cache_read_mtok", "output_mtok")]

def candidates(prices):
    if not isinstance(prices, list):
        return [priced(prices)]
    standing, hours = None, []
    for each in prices:
        constraint = each.constraint
        if constraint is None or getattr(constraint, "start_date", today) <= today:
            if hasattr(constraint, "start_time"):
                hours.append(priced(each.prices))
            else:
                standing = priced(each.prices)
    return [each for each in [standing, *hours] if each]

json.dump({
    provider.id: [
        {
            "names": names(model.match, model.id),
            "window": model.context_window,
            "prices": candidates(model.prices),
        }
        for model in provider.models
    ]
    for provider in data.providers
}, sys.stdout)
"""


def download(folder: Path, today: date) -> tuple[dict[str, str], dict[str, list[Facts]], dict[str, Facts]]:
    """Return both packages' versions and facts; raises `CalledProcessError` without a network."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--target", str(folder / "genai"), "genai-prices"], check=True)
    subprocess.run([*pip, "download", "--no-deps", "--dest", str(folder), "litellm"], check=True)
    exported = subprocess.run(
        [sys.executable, "-c", _EXPORT, today.isoformat()],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(folder / "genai")},
    )
    wheel = next(folder.glob("litellm-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        listed = json.loads(archive.read("litellm/model_prices_and_context_window_backup.json"))
    info = next((folder / "genai").glob("genai_prices-*.dist-info"))
    versions = {
        "genai-prices": info.name.removeprefix("genai_prices-").removesuffix(".dist-info"),
        "litellm": wheel.name.split("-")[1],
    }
    return versions, json.loads(exported.stdout), listed


def from_genai(models: Iterable[Facts]) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for model in models:
        prices = max(model["prices"], key=lambda price: Decimal(price[0] or 0), default=[None] * 3)
        given, cached, made = (price and _plain(Decimal(price)) for price in prices)
        entry = Entry(_whole(model["window"]), None, given, cached, made)
        for name in model["names"]:
            entries.setdefault(name.lower(), entry)
    return entries


def from_litellm(listed: Mapping[str, Facts], origin: Origin) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for id_, facts in listed.items():
        if facts.get("litellm_provider") != origin.litellm or facts.get("mode") not in ("chat", "responses"):
            continue
        prices = [facts.get(price) for price in PRICES]
        if not any(prices):
            prices = [None] * 3  # it says 0 where nobody has looked
        given, cached, made = (_per_million(price) for price in prices)
        retires = facts.get("deprecation_date")
        entries.setdefault(
            id_.removeprefix(origin.prefix).lower(),
            Entry(
                _whole(facts.get("max_input_tokens")),
                _whole(facts.get("max_output_tokens")),
                given,
                cached,
                made,
                date.fromisoformat(retires) if retires else None,
            ),
        )
    return entries


def _whole(tokens: float | None) -> int | None:
    return int(tokens) if tokens and 1000 <= tokens <= 10_000_000 else None


def _per_million(price: float | None) -> Decimal | None:
    # The packages write prices as binary fractions: six digits are what a price list has.
    return None if price is None else _plain(round(Decimal(str(price)) * 1_000_000, 6))


def _plain(price: Decimal) -> Decimal:
    return price.quantize(Decimal(1)) if price == price.to_integral_value() else price.normalize()


# --- Putting them together ----------------------------------------------------------------------------


def merged(origin: Origin, first: Mapping[str, Entry], second: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the facts of both: the first has windows and prices, the second output limits and retirement.

    An alias that moves (`-latest`) is newer in the second.
    """
    if not origin.priced:
        second = {
            name: replace(entry, input_price=None, cached_price=None, output_price=None)
            for name, entry in second.items()
        }
    entries: dict[str, Entry] = {}
    for name in {*first, *second}:
        if not NAME.fullmatch(name) or NO_CHAT.search(name) or not re.match(origin.names, name):
            continue
        one, other = (
            first.get(name) or find(first, name) or Entry(),
            second.get(name) or find(second, name.rstrip("*")),
        )
        newer = name.endswith("-latest") and name in second
        entries[name] = (other or one).over(one) if newer else one.over(other)
    return entries


def plausible(entry: Entry) -> Entry:
    """Drop a limit as large as the window, which is none, and a cached price above the full one."""
    window, most, cached = entry.context_window, entry.max_output_tokens, entry.cached_price
    if window is not None and most is not None and most >= window:
        most = None
    if cached is not None and cached > (entry.input_price or 0):
        cached = None
    return replace(entry, context_window=window, max_output_tokens=most, cached_price=cached)


def pruned(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Drop every name whose facts `find` gives without it: by the name that it is a release of."""
    kept = dict(sorted(entries.items()))
    for name in sorted(entries, key=len, reverse=True):
        others = {other: entry for other, entry in kept.items() if other != name}
        if not name.endswith("*") and find(others, name) == kept[name]:
            kept = others
    return kept


def make(today: date) -> None:
    with tempfile.TemporaryDirectory() as folder:
        versions, genai, listed = download(Path(folder), today)
    providers = {}
    for provider, origin in ORIGINS.items():
        known = merged(origin, from_genai(genai.get(origin.genai, ())), from_litellm(listed, origin))
        by_hand: dict[str, Entry] = BY_HAND.get(provider, {})
        complete = {
            name: plausible(entry.over(by_hand.get(name) or find(by_hand, name)))
            for name, entry in known.items()
        }
        providers[provider] = pruned({name: entry for name, entry in complete.items() if entry != Entry()})
    catalogue.FILE.write_text(written(providers, versions, today), encoding="utf-8")


def written(providers: Mapping[str, Mapping[str, Entry]], versions: Mapping[str, str], today: date) -> str:
    """Return the file: one line for each model, so that a change of one is a change of one line."""
    sources = [
        {"name": name, "version": version, "licence": "MIT", "url": URLS[name], "gives": GIVES[name]}
        for name, version in versions.items()
    ]
    lines = ["{", f'  "date": "{today.isoformat()}",', f'  "columns": {json.dumps(COLUMNS)},']
    lines.append('  "unit": "tokens, US dollars per million tokens, and a day; null is not known",')
    lines.append('  "sources": [\n    ' + ",\n    ".join(json.dumps(source) for source in sources) + "\n  ],")
    blocks = []
    for provider, models in providers.items():
        rows = ",\n".join(f"      {json.dumps(name)}: {row(entry)}" for name, entry in models.items())
        blocks.append(f'    "{provider}": {{\n{rows}\n    }}')
    lines.append('  "providers": {\n' + ",\n".join(blocks) + "\n  }")
    return "\n".join([*lines, "}", ""])


def row(entry: Entry) -> str:
    values = [getattr(entry, field.name) for field in fields(entry)]
    while len(values) > 2 and values[-1] is None:
        values.pop()
    return "[" + ", ".join(_json(value) for value in values) + "]"


def _json(value: object) -> str:
    if value is None:
        return "null"
    return (
        f'"{value}"'
        if isinstance(value, date)
        else f"{value:f}"
        if isinstance(value, Decimal)
        else str(value)
    )


# --- Checking -----------------------------------------------------------------------------------------


def faults(today: date) -> Iterator[str]:
    """Yield a sentence for an old catalogue, and for each suggested model that retires soon."""
    made = date.fromisoformat(catalogue.shipped().date)
    if today - made > OLDEST:
        yield f"providers/catalogue.json is of {made}, older than {OLDEST.days} days: run `make catalogue`."
    for spec in PROVIDERS.values():
        for model in dict.fromkeys(filter(None, (spec.default_model, *spec.models))):
            entry = catalogue.look_up(spec.id, model)
            if entry is not None and entry.retires is not None and entry.retires - today <= NOTICE:
                yield f"{spec.id}: the suggested model {model} retires on {entry.retires}."


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("action", choices=["make", "check"])
    parser.add_argument(
        "--date", type=date.fromisoformat, default=date.today(), help="take this day for today"
    )
    options = parser.parse_args()
    if options.action == "make":
        make(options.date)
    found = list(faults(options.date))
    print("\n".join(found) or "The catalogue is fresh, and no suggested model retires soon.")
    return 1 if found and options.action == "check" else 0


if __name__ == "__main__":
    sys.exit(main())
