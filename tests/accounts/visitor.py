"""Somebody who uses the pages like a browser does: with cookies, and with the forms' own tokens."""

import re
from html import unescape
from typing import Any

import httpx

from tests.server import Server

_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
_INPUT = re.compile(r"<input [^>]*>")
_ATTRIBUTE = re.compile(r'([\w-]+)(?:="([^"]*)")?')


class Visitor:
    def __init__(self, server: Server) -> None:
        self.http = server.client(headers={"Accept-Language": "en"})

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.http.get(path, **options)

    def submit(self, path: str, data: dict[str, Any], **options: Any) -> httpx.Response:
        """Open a page and send its form."""
        form = self.get(path)
        found = _TOKEN.search(form.text)
        assert found, f"no form at {path}: {form.status_code}"
        return self.http.post(path, data={"csrfmiddlewaretoken": found[1]} | data, **options)

    def sign_in(self, username: str, password: str) -> httpx.Response:
        response = self.submit("/accounts/login", {"username": username, "password": password})
        assert response.status_code == 302, response.text
        return response

    def api(self, method: str, path: str, *, csrf: bool = True, **options: Any) -> httpx.Response:
        """Call the API with the cookies, as the page's own scripts do."""
        headers = {"X-CSRFToken": self.http.cookies["csrftoken"]} if csrf else {}
        return self.http.request(method, path, headers=headers, **options)

    def change_user(self, user_id: int, **changes: Any) -> httpx.Response:
        """Change a user in the admin; None takes a tick away."""
        path = f"/admin/accounts/user/{user_id}/change/"
        fields = form_fields(self.get(path).text) | changes
        response = self.submit(path, {name: value for name, value in fields.items() if value is not None})
        assert response.status_code == 302, response.text
        return response


def form_fields(page: str) -> dict[str, Any]:
    """Return what a form would send if it were sent as it is; its inputs only."""
    fields: dict[str, Any] = {}
    for tag in _INPUT.findall(page):
        has = dict(_ATTRIBUTE.findall(tag.removeprefix("<input ")))
        if has.get("type") in {"submit", "button"} or (
            has.get("type") == "checkbox" and "checked" not in has
        ):
            continue
        if "name" in has and not has["name"].startswith("_"):
            fields[has["name"]] = unescape(has.get("value", "on" if has.get("type") == "checkbox" else ""))
    return fields
