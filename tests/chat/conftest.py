import pytest

from tests.server import Server, User
from tests.upstream import Upstream


@pytest.fixture
def alice(server: Server, upstream: Upstream) -> User:
    """Somebody who can talk to the provider under the tests' control, as `custom`."""
    user = server.user()
    user.configure("custom", baseUrl=upstream.base_url, apiKey="sk-alice-0123456789abcdef")
    return user


@pytest.fixture
def bob(server: Server) -> User:
    return server.user()
