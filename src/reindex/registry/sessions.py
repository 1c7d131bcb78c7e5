"""Who is logged in to the dashboard: a random token in a cookie, its SHA-256 here."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from reindex.registry.api_keys import ApiKey, ApiKeys
from reindex.registry.file import now
from reindex.registry.registry import Registry


class Sessions:
    """The registry's table of sessions. One ends by itself, and with the key it was opened by."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def open(self, key: ApiKey, life: timedelta) -> str:
        """A session of a key; returns its token. Those that are over are forgotten."""
        token, ends = secrets.token_urlsafe(32), datetime.now(UTC) + life
        with self._registry.transaction():
            self._registry.execute("DELETE FROM sessions WHERE expires_at <= ?", [now()])
            self._registry.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?)",
                (_digest(token), key.name, now(), ends.isoformat(timespec="microseconds")),
            )
        return token

    def find(self, token: str) -> ApiKey | None:
        """Whose session it is; None where it is over, or the key was revoked."""
        row = self._registry.execute(
            "SELECT key_name FROM sessions WHERE sha256 = ? AND expires_at > ?",
            (_digest(token), now()),
        ).fetchone()
        if row is None:
            return None
        keys = {key.name: key for key in ApiKeys(self._registry).all() if key.revoked_at is None}
        return keys.get(row[0])

    def close(self, token: str) -> None:
        """End a session; no matter whether there is one."""
        with self._registry.transaction():
            self._registry.execute("DELETE FROM sessions WHERE sha256 = ?", [_digest(token)])


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
