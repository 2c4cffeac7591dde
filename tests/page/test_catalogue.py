"""Every text that people see has its Chinese words, and the compiled catalogue holds them."""

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

from django.utils.translation.template import templatize

PROJECT = Path(__file__).resolve().parents[2]
CATALOGUE = PROJECT / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
MARKERS = {"_", "gettext", "gettext_lazy", "gettext_noop"}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}|</?\w+>")


def texts_of_python(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKERS:
            text = node.args[0]
            plain = isinstance(text, ast.Constant) and isinstance(text.value, str)
            assert plain, f"line {node.lineno}: only plain texts can be translated"
            yield ast.literal_eval(text)


def texts_of_template(source: str) -> Iterator[str]:
    found = re.finditer(
        r"""(?:n?gettext|_)\((?:u)?((?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"))[,)]""", templatize(source)
    )
    for match in found:
        yield ast.literal_eval(match[1])


def all_texts() -> set[str]:
    texts: set[str] = set()
    for app in ("accounts", "chat", "chatproject", "providers"):
        for path in (PROJECT / app).rglob("*.py"):
            if "migrations" not in path.parts:
                texts.update(texts_of_python(path.read_text()))
    for path in (PROJECT / "templates").rglob("*.html"):
        texts.update(texts_of_template(path.read_text()))
    return texts


def catalogue() -> dict[str, str]:
    entries = {}
    for block in CATALOGUE.read_text().split("\n\n"):
        # Chinese has one form for one and for many: the form of a plural is that of its singular.
        strings = re.findall(r'^(msgid|msgstr)(?:\[0\])? ((?:".*"\n?)+)', block, re.M)
        entry = {
            name: "".join(ast.literal_eval(line) for line in lines.split("\n") if line)
            for name, lines in strings
        }
        entries[entry["msgid"]] = entry["msgstr"]
    return entries


def test_the_extraction_finds_texts():
    assert list(texts_of_python('x = _("a" "b"); gettext("c")')) == ["ab", "c"]
    template = '{% translate "it\'s" %}{% blocktranslate with a=b %}so {{ a }}{% endblocktranslate %}'
    assert list(texts_of_template(template)) == ["it's", "so %(a)s"]
    assert {"This provider is not configured.", "Sign in", "New chat"} <= all_texts()


def test_every_text_is_translated():
    translated = catalogue()

    assert sorted(all_texts() - {text for text, words in translated.items() if words}) == []
    assert sorted(set(translated) - all_texts() - {""}) == [], "no longer used"


def test_nothing_is_fuzzy_or_left_over():
    text = CATALOGUE.read_text()

    assert "fuzzy" not in text
    assert "#~" not in text


def test_the_compiled_catalogue_is_not_stale():
    with CATALOGUE.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]  # what it has read

    singular = {text[0] if isinstance(text, tuple) else text: words for text, words in compiled.items()}
    assert {text: words for text, words in singular.items() if text} == {
        text: words for text, words in catalogue().items() if text
    }


def test_translations_keep_their_placeholders():
    for text, words in catalogue().items():
        assert sorted(PLACEHOLDER.findall(words)) == sorted(PLACEHOLDER.findall(text)), text


def test_the_words_of_the_contract_are_as_they_were():
    translated = catalogue()

    assert translated["This provider is not configured."] == "未配置该供应商"
    assert translated["There is no such conversation."] == "会话不存在"
