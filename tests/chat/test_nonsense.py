"""Parameters that no honest client sends: refused or without effect, and never a fault of the server."""

import base64

import pytest

ID = "01a205a5-d74e-7000-bff7-97f72eff6439"


def cursor(*values: str) -> str:
    return base64.urlsafe_b64encode("|".join(values).encode()).decode().rstrip("=")


@pytest.mark.parametrize("parameter", ["provider", "q"])
@pytest.mark.parametrize("text", ["\ufffe", "%", "\\"])
def test_no_filter_finds_a_fault(server, parameter, text):
    response = server.user().get("/api/chat/sessions", params={parameter: text})

    assert response.status_code == 200
    assert response.json() == {"sessions": [], "next": None}


@pytest.mark.parametrize("parameter", ["provider", "q"])
def test_a_nul_in_a_filter_is_refused(server, parameter):
    response = server.user().get("/api/chat/sessions", params={parameter: "a\0b"})

    assert (response.status_code, response.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "values",
    [
        ("0001-01-01T00:00:00+23:59", ID),
        ("9999-12-31T23:59:59-23:59", ID),
        ("2026-01-01T00:00:00", ID),
        ("2026-01-01T00:00:00+00:00",),
        ("2026-13-01T00:00:00+00:00", ID),
        ("\0", ID),
        ("", ""),
    ],
)
def test_a_cursor_that_was_never_given_is_refused(server, values):
    response = server.user().get("/api/chat/sessions", params={"cursor": cursor(*values)})

    assert response.status_code == 400
    assert response.json()["code"] == "invalid"
    assert set(response.json()["fields"]) == {"cursor"}


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00"])
def test_the_ends_of_time_can_be_asked_for(server, moment):
    response = server.user().get("/api/chat/sessions", params={"cursor": cursor(moment, ID)})

    assert response.status_code == 200


def test_an_empty_idempotency_key_is_refused(server):
    response = server.user().post(
        "/api/chat/stream",
        json={"message": "Hello", "provider": "demo", "model": "demo"},
        headers={"Idempotency-Key": ""},
    )

    assert response.status_code == 400
    assert response.json()["code"] == "idempotency_key_invalid"


def test_a_doubtful_word_for_shared_is_refused(server):
    response = server.admin().put(
        "/api/providers/openai/config", json={"apiKey": "sk-for-everybody-1"}, params={"shared": "yes"}
    )

    assert response.status_code == 400
    assert set(response.json()["fields"]) == {"shared"}
