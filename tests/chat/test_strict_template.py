"""Conversations with a real model that refuses turns that do not alternate."""

import httpx
import pytest

from tests.real_model import RealModel
from tests.server import Server, User
from tests.upstream import Upstream


@pytest.fixture
def asking(sqlite_server: Server, strict_model: RealModel) -> User:
    user = sqlite_server.user()
    user.configure("custom", baseUrl=strict_model.base_url, apiKey="", extraBody={"max_tokens": 3})
    user.provider, user.model = "custom", strict_model.name
    return user


def test_the_template_refuses_what_was_sent_before(strict_model: RealModel):
    turns = [{"role": role, "content": "ok"} for role in ("assistant", "user")]

    def status(messages: list[dict[str, str]]) -> int:
        body = {"model": strict_model.name, "messages": messages, "max_tokens": 1}
        url = f"{strict_model.base_url}/chat/completions"
        return httpx.post(url, json=body, trust_env=False, timeout=60).status_code

    assert status(turns) >= 400
    assert status([turns[1], turns[1]]) >= 400
    assert status([turns[1], turns[0], turns[1]]) == 200


def test_a_conversation_goes_on_after_ten_questions(asking: User):
    session = asking.stream("ok").session["sessionId"]
    ends = [asking.stream("ok", sessionId=session).names[-1] for _ in range(12)]

    assert ends == ["done"] * 12


def test_a_conversation_goes_on_after_an_answer_that_failed(
    asking: User, strict_model: RealModel, upstream: Upstream
):
    asking.configure("custom:failing", name="F", protocol="openai", baseUrl=upstream.base_url)
    failed = asking.stream("fail", "custom:failing", upstream.failing(500))
    session = failed.session["sessionId"]
    ends = [asking.stream("ok", sessionId=session).names[-1] for _ in range(2)]

    assert failed.names[-1] == "error"
    assert ends == ["done"] * 2
