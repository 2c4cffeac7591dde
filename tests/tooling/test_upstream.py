import time

import httpx
import pytest

from tests.upstream import Cut, Hold, Reasoning, Wait


def ask(upstream, model, **headers):
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    return httpx.post(
        f"{upstream.base_url}/chat/completions", json=body, headers=headers, trust_env=False, timeout=5
    )


def test_a_script_is_played_and_the_request_is_kept(upstream):
    model = upstream.script("Hel", Wait(0.05), Reasoning("hm"), "lo", usage={"prompt_tokens": 3})

    text = ask(upstream, model, authorization="Bearer sk-1").text

    assert text.index("Hel") < text.index('"reasoning_content": "hm"') < text.index('"lo"')
    assert '"finish_reason": "stop"' in text
    assert text.index('"prompt_tokens": 3') < text.index("[DONE]")
    [request] = model.requests
    assert request.headers["authorization"] == "Bearer sk-1"
    assert request.body["messages"][0]["content"] == "Hi"
    assert (request.sent, request.hung_up_at) == (2, None)


def test_one_connection_carries_many_answers(upstream):
    model = upstream.script("one")

    with httpx.Client(trust_env=False) as client:
        links = set()
        for _ in range(3):
            response = client.post(f"{upstream.base_url}/chat/completions", json={"model": model})
            links.add(response.extensions["network_stream"].get_extra_info("client_addr"))

    assert len(model.requests) == 3
    assert len(links) == 1


@pytest.mark.parametrize("reset", [False, True])
def test_a_cut_ends_the_connection_within_the_body(upstream, reset):
    model = upstream.script("half", Cut(reset=reset))

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        ask(upstream, model)


def test_it_knows_when_the_client_hung_up(upstream):
    model = upstream.script("first", Hold(), "never")

    url = f"{upstream.base_url}/chat/completions"
    with httpx.stream("POST", url, json={"model": model}, trust_env=False) as response:
        pieces = response.iter_raw()
        next(pieces)
        assert model.wait_for_request().hung_up_at is None
        left = time.monotonic()

    assert -0.1 < model.requests[0].wait_for_hang_up(2) - left < 1


def test_errors_and_unknown_names_have_openais_shape(upstream):
    busy = upstream.failing(429, "Slow down.", headers={"Retry-After": "7"})
    upstream.refuse_key("sk-bad")

    answers = [
        ask(upstream, busy),
        ask(upstream, "nobody"),
        ask(upstream, busy, authorization="Bearer sk-bad"),
    ]

    assert [answer.status_code for answer in answers] == [429, 404, 401]
    assert answers[0].headers["retry-after"] == "7"
    assert all(answer.json()["error"]["message"] for answer in answers)
