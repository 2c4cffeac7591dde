"""A deletion that depends on the conversation being unchanged."""

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from rest_framework.exceptions import ValidationError

from chat.views import unchanged_since
from tests.server import User
from tests.upstream import Hold, Upstream


def updated_at(user: User, session: str) -> str:
    return str(user.get(f"/api/chat/sessions/{session}").json()["updatedAt"])


def deletion(user: User, path: str, moment: str) -> tuple[int, str]:
    response = user.delete(f"/api/chat/{path}", params={"unchangedSince": moment})
    return response.status_code, response.json().get("code", "")


def test_a_conversation_that_was_used_since_is_not_deleted(alice: User) -> None:
    session = alice.stream("first").session["sessionId"]
    seen = updated_at(alice, session)
    first = alice.messages(session)[0]["id"]
    alice.stream("a question of another tab", sessionId=session)

    assert deletion(alice, f"sessions/{session}", seen) == (409, "session_changed")
    assert deletion(alice, f"messages/{first}", seen) == (409, "session_changed")
    assert len(alice.messages(session)) == 4

    now = updated_at(alice, session)
    assert deletion(alice, f"messages/{first}", now) == (200, "")
    assert deletion(alice, f"sessions/{session}", now) == (200, "")
    assert alice.get(f"/api/chat/sessions/{session}").status_code == 404


def test_the_end_of_an_answer_that_was_seen_running_is_no_change(alice: User, upstream: Upstream) -> None:
    model = upstream.script("one ", Hold(), "two")
    with alice.streaming("slowly", provider="custom", model=model) as stream:
        session = stream.next("session").data["sessionId"]
        seen = updated_at(alice, session)
        model.release()
        stream.rest()
    assert updated_at(alice, session) != seen

    assert deletion(alice, f"sessions/{session}", seen) == (200, "")


def test_a_continuation_is_a_change_while_it_runs_and_after_it(alice: User, upstream: Upstream) -> None:
    cut = upstream.script("one ", finish="length")
    answer = alice.stream("long", provider="custom", model=cut)
    session, message = answer.session["sessionId"], answer.session["messageId"]
    seen = updated_at(alice, session)
    # The same model now answers with more.
    with alice.opened(
        "POST",
        f"/api/chat/messages/{message}/continue",
        json={},
        headers={"Idempotency-Key": f"go-on-{message}"},
    ) as stream:
        stream.next("session")
        stream.rest()

    assert deletion(alice, f"sessions/{session}", seen) == (409, "session_changed")
    assert deletion(alice, f"messages/{message}", seen) == (409, "session_changed")


def test_an_unreadable_moment_deletes_nothing(alice: User) -> None:
    session = alice.stream("keep me").session["sessionId"]

    for moment in ["", "yesterday", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00", "9" * 5000]:
        response = alice.delete(f"/api/chat/sessions/{session}", params={"unchangedSince": moment})
        assert (response.status_code, list(response.json()["fields"])) == (400, ["unchangedSince"]), moment
    assert len(alice.messages(session)) == 2


def test_another_offset_names_the_same_moment(alice: User) -> None:
    session = alice.stream("elsewhere").session["sessionId"]
    seen = datetime.fromisoformat(updated_at(alice, session))
    there = seen.astimezone(tz=None).isoformat()
    earlier = (seen - timedelta(seconds=1)).isoformat()

    assert deletion(alice, f"sessions/{session}", earlier) == (409, "session_changed")
    assert deletion(alice, f"sessions/{session}", there) == (200, "")


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "soon", "2026-01-01T00:00:00"]
)
def test_a_time_out_of_the_calendar_is_refused(moment):
    request: Any = SimpleNamespace(query_params={"unchangedSince": moment})

    with pytest.raises(ValidationError):
        unchanged_since(request)
