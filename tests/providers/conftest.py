from collections.abc import Callable, Iterator
from typing import Any

import pytest

from providers import transport


@pytest.fixture(autouse=True)
def set_limits() -> Iterator[Callable[..., None]]:
    """Let a provider be on this machine; a test may say what else it wants."""
    before = transport.limits()

    def set_(**values: Any) -> None:
        transport.configure(transport.Limits(**{"allow_private": True, **values}))

    set_()
    yield set_
    transport.configure(before)
