"""The provider's own words about a failure: in every place where they are promised, without secrets."""

from html import unescape

import pytest

from tests.accounts.visitor import Visitor
from tests.server import Server, User
from tests.upstream import Raw, Script, Upstream, error_body

OWN_KEY = "sk-own-key-of-alice-24680"
SAID = "The tariff 'moon' ends on Friday, 请续费"
LEAKING = (
    f"{SAID} <b>soon</b>. You sent Authorization: Bearer {OWN_KEY} to http://gateway:8080/v1, "
    "our key is sk-live-0123456789abcdef, \u202epassword=hunter2\ud800\0 " + "and so on " * 1000
)
SECRETS = (OWN_KEY, "24680", "gateway", "sk-live", "hunter2", "<b>", "\u202e", "\ud800", "\0")


@pytest.fixture
def failing(upstream: Upstream) -> Script:
    return upstream.script(status=400, body=error_body(LEAKING, "tariff_ended"))


@pytest.fixture
def alice(server: Server, upstream: Upstream) -> User:
    user = server.user()
    user.put("/api/providers/custom/config", json={"baseUrl": upstream.base_url, "apiKey": OWN_KEY})
    return user


def check(detail: str) -> None:
    assert detail.startswith(SAID)
    assert len(detail) <= 300
    assert not [secret for secret in SECRETS if secret in detail]


def test_they_come_in_the_event_with_the_stored_message_and_when_the_stream_is_read_again(
    alice: User, failing: Script
) -> None:
    answer = alice.stream("Hello", "custom", failing)

    session = answer.session["sessionId"]
    check(answer.error["detail"])
    stored = alice.messages(session)[-1]["error"]
    assert stored["detail"] == answer.error["detail"]
    again = alice.resume(session, f"{answer.session['messageId']}:0-0")
    assert again.error["detail"] == answer.error["detail"]


def test_an_answer_that_goes_on_forgets_them(alice: User, upstream: Upstream) -> None:
    told = b'data: {"error": {"message": "The tariff ended", "code": "x"}}\n\n'
    broken = upstream.script("Half", Raw(told))
    answer = alice.stream("Hello", "custom", broken)
    assert answer.error["detail"] == "The tariff ended"
    message = answer.session["messageId"]

    upstream.script(" and half.", name=broken)
    alice.post(f"/api/chat/messages/{message}/continue")

    assert alice.messages(answer.session["sessionId"])[-1]["error"] is None


def test_the_test_of_settings_gives_them(alice: User, upstream: Upstream) -> None:
    upstream.refuse_key("sk-a-key-that-is-refused-13579")

    told = alice.post("/api/providers/custom/test", json={"apiKey": "sk-a-key-that-is-refused-13579"}).json()

    assert (told["code"], told["detail"]) == ("invalid_credentials", "Incorrect API key.")


def test_what_this_server_says_of_its_own_network_is_not_among_them(alice: User) -> None:
    closed = {"baseUrl": "http://127.0.0.1:9/v1", "apiKey": OWN_KEY}

    told = alice.post("/api/providers/custom/test", json=closed).json()

    assert told["code"] == "provider_unavailable"
    assert "detail" not in told


def test_the_page_and_the_admin_show_them_folded(server: Server, alice: User, failing: Script) -> None:
    answer = alice.stream("Hello", "custom", failing)
    detail = answer.error["detail"]
    reader, administrator = Visitor(server), Visitor(server)
    reader.sign_in(alice.username, alice.password)
    administrator.sign_in("admin", server.environ["ADMIN_PASSWORD"])

    page = reader.get(f"/c/{answer.session['sessionId']}").text
    transcript = administrator.get(f"/admin/chat/message/{answer.session['messageId']}/change/").text

    for shown in (page, transcript):
        folded = shown.partition('<details class="own-words"><summary>')[2].partition("</details>")[0]
        assert detail in unescape(folded)
    assert "HTTP 400" in transcript


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"word " * (2 << 20), ("word " * 60).rstrip()),
        (b"<html><title>502 Bad Gateway</title>" + b"<p>nginx" * (1 << 20), "502 Bad Gateway"),
        (b'{"error":{"message":"half \\ud83d and \\u202e\\u0000back"}}', "half \ufffd and \ufffdback"),
        (b"\xff\xfe\x00", None),
    ],
)
def test_hostile_bodies_become_a_short_line_or_nothing(
    alice: User, upstream: Upstream, body: bytes, detail: str | None
) -> None:
    model = upstream.script(status=502, body=body, headers={"Content-Type": "text/html"})

    answer = alice.stream("Hello", "custom", model)

    assert answer.error["code"] == "provider_failed"
    if detail is not None:
        assert answer.error["detail"] == detail
    assert alice.messages(answer.session["sessionId"])[-1]["error"].get("detail") == answer.error.get(
        "detail"
    )
