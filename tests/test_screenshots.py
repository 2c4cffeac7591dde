"""The pictures in docs/screenshots: all there, all in the index, and few enough bytes for a repository."""

import re

from tests.server import PROJECT

FOLDER = PROJECT / "docs" / "screenshots"
STATES, WIDTHS = ("empty", "streaming", "error", "long"), (1440, 768, 375)


def test_every_picture_is_there_and_in_the_index() -> None:
    names = {
        f"{state}-{width}-{theme}-{language}.webp"
        for state in STATES
        for width in WIDTHS
        for theme in ("light", "dark")
        for language in ("en", "zh")
    }

    assert {path.name for path in FOLDER.iterdir()} == names | {"README.md"}
    assert set(re.findall(r"\]\(([\w-]+\.webp)\)", (FOLDER / "README.md").read_text())) == names


def test_they_are_small_pictures() -> None:
    pictures = list(FOLDER.glob("*.webp"))

    assert all(path.read_bytes()[8:12] == b"WEBP" for path in pictures)
    assert sum(path.stat().st_size for path in pictures) < 3_000_000
