"""Tokens that are signed with the right key and say what none of ours says."""

import math
from typing import Any

import pytest

from accounts import rotation, tokens
from accounts.models import User

MISSING = object()
ODD: list[tuple[str, Any]] = [
    *[("user_id", value) for value in (MISSING, None, 1, -1, 1.5, True, [], {}, "", "-1", "one", "1.0", "²")],
    *[("user_id", "9" * digits) for digits in (19, 20, 400, 5000)],
    ("user_id", str(2**63)),
    *[
        ("exp", value)
        for value in (MISSING, None, "soon", 1e300, 10**30, -(10**30), math.inf, math.nan, [], True)
    ],
    *[("jti", value) for value in (MISSING, None, 7, "", "a\0b", "x" * 300, ["a"])],
    *[("iat", value) for value in (MISSING, None, "now", 1e300, 10**30, -(10**30), math.inf, [])],
    *[("pwd", value) for value in (MISSING, None, 7, [], "密")],
    *[("token_type", value) for value in (MISSING, None, 7, [], "other")],
]


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [tokens.AccessToken, tokens.RefreshToken])
@pytest.mark.parametrize(
    ("claim", "value"), ODD, ids=[f"{claim}={str(value)[:20]!r}" for claim, value in ODD]
)
def test_an_odd_token_is_refused_and_no_fault(kind: type[tokens.BoundToken], claim: str, value: Any) -> None:
    token = kind.for_user(User.objects.create_user("someone", password="a password"))
    if value is MISSING:
        del token[claim]
    else:
        token[claim] = value
    text = str(token)

    if kind is tokens.RefreshToken:
        with pytest.raises(tokens.TokenError):
            rotation.rotated(text)
    else:
        with pytest.raises(tokens.TokenError):
            if tokens.holder(tokens.access_token(text)) is None:
                raise tokens.TokenError
