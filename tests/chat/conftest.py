import pytest

from tests.server import Server, User
from tests.upstream import Upstream


@pytest.fixture
def alice(server: Server, upstream: Upstream) -> User:
    """Somebody who can talk to the provider under the tests' control, as `custom`."""
    return quick(server.user(), upstream)


@pytest.fixture
def bob(server: Server, upstream: Upstream) -> User:
    return quick(server.user(), upstream)


def quick(user: User, upstream: Upstream) -> User:
    """Let somebody talk to a provider that answers at once; the demo takes its time."""
    user.configure("custom", baseUrl=upstream.base_url, apiKey="sk-alice-0123456789abcdef")
    user.provider, user.model = "custom", upstream.script("a quick answer")
    return user
