"""Conversations in the admin, over HTTP with a real sign-in."""

import re
import uuid

import pytest

from tests.accounts.visitor import Visitor, form_fields
from tests.server import Server, User

SESSIONS = "/admin/chat/chatsession/"
MESSAGES = "/admin/chat/message/"


@pytest.fixture
def alice(server: Server) -> User:
    """Somebody who talks to the demo, which does what it is told to."""
    return server.user()


@pytest.fixture
def bob(server: Server) -> User:
    return server.user()


@pytest.fixture
def administrator(server: Server) -> Visitor:
    visitor = Visitor(server)
    visitor.sign_in("admin", server.environ["ADMIN_PASSWORD"])
    return visitor


def listed(page: str) -> str:
    """Return the rows of a list; the filters beside it name everything."""
    return page.partition('<table id="result_list">')[2].partition("</table>")[0]


def test_sessions_are_found_by_user_model_date_and_text(
    server: Server, administrator: Visitor, alice: User, bob: User
) -> None:
    word = f"needle{uuid.uuid4().hex}"
    hers = alice.stream(f"{word} of alice /fast")[0].data["sessionId"]
    bob.stream(f"{word} of bob /fast")
    alice.put(f"/api/chat/sessions/{hers}/title", json={"title": "renamed by alice"})

    def found(**query: str) -> str:
        return listed(administrator.get(SESSIONS, params=query).text)

    assert "renamed by alice" in found(q=word)  # by its message
    assert f"{word} of bob" in found(q=word)
    assert f"{word} of bob" not in found(q=word, username=alice.username)
    assert "renamed by alice" in found(username=alice.username.upper())
    assert found(username="nobody-of-this-name") == ""
    assert "renamed by alice" in found(q="NAMED BY Alice")
    assert hers in found(q=hers)
    assert "renamed by alice" in found(username=alice.username, provider="demo", model="de")
    assert found(username=alice.username, provider="openai") == ""
    assert found(username=alice.username, model="emo") == ""
    assert hers in found(**{"username": alice.username, "from": "2020-01-01", "until": "2999-01-01"})
    assert found(**{"username": alice.username, "from": "2999-01-01"}) == ""
    assert found(**{"username": alice.username, "until": "2020-01-01"}) == ""


def test_messages_are_found_by_status_and_text(administrator: Visitor, alice: User) -> None:
    word = f"needle{uuid.uuid4().hex}"
    failed = alice.stream(f"{word} /fast /fail")[0].data
    whole = alice.stream(f"{word} /fast")[0].data

    def found(**query: str) -> str:
        return listed(administrator.get(MESSAGES, params={"username": alice.username, **query}).text)

    assert failed["messageId"] in found(status__exact="failed")
    assert whole["messageId"] not in found(status__exact="failed")
    assert whole["userMessageId"] in found(q=word.upper(), role__exact="user")
    assert whole["messageId"] in found(**{"from": "2020-01-01", "until": "2999-01-01"})
    assert found(**{"until": "2020-01-01"}) == ""
    assert found(q="of this there is nothing") == ""


def test_nonsense_in_filters_is_no_server_error(administrator: Visitor) -> None:
    for query in (
        "from=yesterday",
        "until=9999-12-31",
        "q=%00",
        "username=%00",
        "p=99999",
        "o=1.2",
        "session__user__password__startswith=p",
        "provider=nobody",
        "_facets=True",
        "all=1",
    ):
        for path in (SESSIONS, MESSAGES):
            assert administrator.get(f"{path}?{query}").status_code in (200, 302, 400), query


def test_a_conversation_is_read_with_both_branches(administrator: Visitor, alice: User) -> None:
    opening = alice.stream("Tell me **more** <script>alert(1)</script> /reason /fast")[0].data
    session_id = opening["sessionId"]
    with alice.opened("POST", f"/api/chat/sessions/{session_id}/regenerate", json={}) as live:
        second = live.rest()[0].data["messageId"]
    alice.stream("And break /fail /fast", sessionId=session_id)

    page = administrator.get(f"{SESSIONS}{session_id}/change/").text

    assert page.count('class="said assistant') == 3
    assert page.count("another branch") == 1
    assert f'id="m-{opening["messageId"]}"' in page
    assert f'id="m-{second}"' in page
    assert "<strong>demo model</strong>" in page
    assert "Tell me **more** &lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "<summary>Reasoning</summary>" in page
    assert "provider_overloaded" in page
    assert re.search(r"\d+ tokens in, \d+ out", page)
    assert page.count("messages sent: 1, earlier ones not sent: 0") == 2
    assert "the latest messages" in page
    assert re.search(r"\d+ ms in all", page)
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)


def test_a_long_conversation_is_read_page_by_page(administrator: Visitor, alice: User) -> None:
    session_id = alice.stream("number 0 /fast")[0].data["sessionId"]
    for number in range(1, 55):
        alice.stream(f"number {number} /fast", sessionId=session_id)

    first = administrator.get(f"{SESSIONS}{session_id}/change/").text
    later = re.search(r'href="(\?after=[^"]+)"', first)
    assert later
    second = administrator.get(f"{SESSIONS}{session_id}/change/{later[1]}").text
    earlier = re.search(r'href="(\?before=[^"]+)"', second)
    assert earlier

    assert (first.count('class="said '), second.count('class="said ')) == (100, 10)
    assert "number 54 " in second
    assert "?after=" not in second
    assert administrator.get(f"{SESSIONS}{session_id}/change/{earlier[1]}").text.count('class="said ') == 100


def test_a_message_is_read_alone_and_leads_to_its_conversation(administrator: Visitor, alice: User) -> None:
    opening = alice.stream("Only this /fast")[0].data

    page = administrator.get(f"{MESSAGES}{opening['messageId']}/change/").text

    assert page.count('class="said ') == 1
    whole = f"{SESSIONS}{opening['sessionId']}/change/?at={opening['messageId']}"
    assert whole in page
    assert administrator.get(whole).text.count('class="said ') == 1


def test_nothing_can_be_forged_or_changed(administrator: Visitor, alice: User) -> None:
    opening = alice.stream("As it was said /fast")[0].data
    token = form_fields(administrator.get("/admin/").text)["csrfmiddlewaretoken"]
    forged = {"csrfmiddlewaretoken": token, "content": "forged", "title": "forged", "_save": "Save"}
    paths = [
        f"{SESSIONS}add/",
        f"{MESSAGES}add/",
        f"{SESSIONS}{opening['sessionId']}/change/",
        f"{MESSAGES}{opening['messageId']}/change/",
    ]

    for path in paths:
        assert administrator.http.post(path, data=forged).status_code == 403, path
    for path in paths[:2]:
        assert administrator.get(path).status_code == 403

    assert "forged" not in str(alice.messages(opening["sessionId"]))
    assert alice.get(f"/api/chat/sessions/{opening['sessionId']}").json()["title"] == "As it was said /fast"


def test_a_running_conversation_can_be_deleted(administrator: Visitor, alice: User) -> None:
    with alice.streaming("Never ending /slow") as live:
        session_id = live.next("session").data["sessionId"]
        live.next("message")
        asked = administrator.get(f"{SESSIONS}{session_id}/delete/")
        assert session_id in asked.text
        deleted = administrator.submit(f"{SESSIONS}{session_id}/delete/", {"post": "yes"})
        last = live.rest()[-1]

    assert deleted.status_code == 302
    assert (last.name, last.data.get("code", "")) in {("error", "message_deleted"), ("done", "")}
    assert alice.get(f"/api/chat/sessions/{session_id}").status_code == 404
    assert administrator.get(f"{SESSIONS}{session_id}/change/").status_code == 302


def test_many_are_deleted_at_once(administrator: Visitor, alice: User) -> None:
    ids = [alice.stream(f"number {number} /fast")[0].data["sessionId"] for number in range(3)]
    chosen = {"action": "delete_selected", "_selected_action": ids[:2], "index": "0"}

    asked = administrator.submit(SESSIONS, chosen)
    done = administrator.submit(SESSIONS, chosen | {"post": "yes"})

    assert ids[0] in asked.text
    assert done.status_code == 302
    assert [alice.get(f"/api/chat/sessions/{one}").status_code for one in ids] == [404, 404, 200]


def test_deleting_a_message_takes_what_hangs_below_it(administrator: Visitor, alice: User) -> None:
    first = alice.stream("first /fast")[0].data
    second = alice.stream("second /fast", sessionId=first["sessionId"])[0].data

    administrator.submit(f"{MESSAGES}{second['userMessageId']}/delete/", {"post": "yes"})

    left = alice.messages(first["sessionId"])
    assert [message["id"] for message in left] == [first["userMessageId"], first["messageId"]]


def test_staff_without_the_permission_read_nothing(
    server: Server, administrator: Visitor, alice: User, bob: User
) -> None:
    session_id = bob.stream("private /fast")[0].data["sessionId"]
    administrator.change_user(alice.id, is_staff="on")
    staff = Visitor(server)
    staff.sign_in(alice.username, alice.password)

    for path in (SESSIONS, MESSAGES, f"{SESSIONS}{session_id}/change/", "/admin/chat/mode/"):
        assert staff.get(path).status_code == 403
    assert "private" not in staff.get("/admin/").text


def test_keys_are_nowhere_in_the_admin(administrator: Visitor, alice: User) -> None:
    key = "sk-nowhere-in-the-admin-4321"
    alice.configure("openai", apiKey=key)

    for path in ("/admin/", SESSIONS, MESSAGES, f"/admin/providers/providerconfig/?q={alice.username}"):
        assert key not in administrator.get(path).text


def test_modes_are_managed_and_used(server: Server, administrator: Visitor, alice: User) -> None:
    name = f"m-{uuid.uuid4().hex[:8]}"
    form = {
        "id": name,
        "name": "简短",
        "name_en": "Brief",
        "description_en": "In a few words.",
        "system_prompt": "Be brief.",
        "temperature": "0.2",
        "position": "5",
        "enabled": "on",
    }

    made = administrator.submit("/admin/chat/mode/add/", form)

    assert made.status_code == 302
    modes = alice.get("/api/chat/modes", headers={"Accept-Language": "en"}).json()["modes"]
    assert {"id": name, "name": "Brief", "description": "In a few words."} in modes
    assert "Brief" in administrator.get("/").text
    assert alice.stream("Hello /fast", mode=name)[-1].name == "done"
    changed = administrator.submit(f"/admin/chat/mode/{name}/change/", form | {"enabled": ""})
    assert changed.status_code == 302
    assert name not in str(alice.get("/api/chat/modes").json())
