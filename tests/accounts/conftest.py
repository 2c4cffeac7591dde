import pytest

from tests.accounts.visitor import Visitor
from tests.server import Server, User


@pytest.fixture
def alice(server: Server) -> User:
    return server.user()


@pytest.fixture
def bob(server: Server) -> User:
    return server.user()


@pytest.fixture
def administrator(server: Server) -> Visitor:
    """The administrator, signed in to the pages."""
    visitor = Visitor(server)
    visitor.sign_in("admin", server.environ["ADMIN_PASSWORD"])
    return visitor
