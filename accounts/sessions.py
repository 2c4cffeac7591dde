"""Sessions as Django keeps them in the database, for keys that can be ones of ours."""

import re

from django.contrib.sessions.backends import db

_KEY = re.compile(r"[a-z0-9]{8,40}")


class SessionStore(db.SessionStore):
    def _validate_session_key(self, key: str) -> bool:
        # A cookie may hold anything, NUL included, at which PostgreSQL takes offence.
        return bool(_KEY.fullmatch(key or ""))
