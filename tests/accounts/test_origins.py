"""Forms behind a proxy: which origin is taken for the service's own, and who hears why one is not."""

import pytest

from tests.accounts.visitor import Visitor
from tests.server import Server

FORM = "/settings/language"


def sent(visitor: Visitor, **headers: str) -> tuple[int, str]:
    token = visitor.http.cookies["csrftoken"]
    data = {"csrfmiddlewaretoken": token, "language": ""}
    response = visitor.http.post(FORM, data=data, headers=headers)
    return response.status_code, response.text


@pytest.fixture
def staff(sqlite_server: Server) -> Visitor:
    visitor = Visitor(sqlite_server)
    visitor.sign_in("admin", sqlite_server.admin().password)
    return visitor


def behind_proxy(host: str, origin: str) -> dict[str, str]:
    return {"Host": host, "X-Forwarded-Proto": "https", "Origin": origin}


def test_a_proxy_on_another_port_that_passes_the_port_on_is_the_same_origin(staff: Visitor) -> None:
    status, _ = sent(staff, **behind_proxy("localhost:8443", "https://localhost:8443"))

    assert status == 302


def test_a_proxy_that_drops_the_port_is_named_to_staff_and_logged(
    sqlite_server: Server, staff: Visitor
) -> None:
    status, page = sent(staff, **behind_proxy("localhost", "https://localhost:8443"))

    assert status == 403
    assert "Origin checking failed - https://localhost:8443 does not match any trusted origins." in page
    assert "takes itself to be at <code>https://localhost</code>" in page
    assert "CSRF_TRUSTED_ORIGINS=https://localhost:8443" in page
    assert "FORWARDED_ALLOW_IPS" in page
    assert f"{FORM}: CSRF: Origin checking failed - https://localhost:8443" in sqlite_server.log()


def test_staff_read_it_in_their_language(staff: Visitor) -> None:
    refused = behind_proxy("localhost", "https://localhost:8443")
    staff.http.headers["Accept-Language"] = "zh-CN"

    _, page = sent(staff, **refused)

    assert "浏览器发送的来源是" in page


def test_others_do_not_see_how_the_server_is_set_up(sqlite_server: Server) -> None:
    user, visitor = sqlite_server.user(), Visitor(sqlite_server)
    visitor.sign_in(user.username, user.password)

    status, page = sent(visitor, **behind_proxy("localhost", "https://<b>:1"))

    assert status == 403
    assert "does not know the address by which you reached it" in page
    assert "CSRF_TRUSTED_ORIGINS" not in page and "checking failed" not in page


def test_the_log_is_not_filled_by_anybody(sqlite_server: Server, staff: Visitor) -> None:
    for number in range(20):
        sent(staff, **behind_proxy("localhost", f"https://flood-{number}.example"))

    assert sqlite_server.log().count("https://flood-") <= 2
