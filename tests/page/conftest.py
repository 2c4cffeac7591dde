from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser import sign_in
from tests.page.desk import Desk
from tests.server import Server, User
from tests.upstream import Upstream

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture
def alice(sqlite_server: Server, upstream: Upstream) -> User:
    user = sqlite_server.user()
    user.configure("custom", baseUrl=upstream.base_url, apiKey="sk-of-alice-0123456789")
    return user


@pytest.fixture
def desk(page: "Page", sqlite_server: Server, alice: User, upstream: Upstream) -> Iterator[Desk]:
    """The page as alice has it in front of her, signed in."""
    sign_in(page, sqlite_server, alice)
    yield Desk(page, sqlite_server, alice, upstream)
