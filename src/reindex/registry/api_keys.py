"""API keys: who may do what over HTTP.

A key is 32 random bytes, so a plain SHA-256 is enough to keep: there is nothing to guess from (slow
hashes are for passwords, which people choose). What is shown once is nowhere afterwards.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

from reindex.errors import Conflict, RegistryError
from reindex.registry.file import now
from reindex.registry.registry import Registry

Scope = Literal["search", "read", "write", "operate"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""``search``: search, embed, give feedback. ``read``: versions, comparisons, status. ``write``:
documents. ``operate``: promote, roll back, canary."""

PREFIX = "rx_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_COLUMNS = "name, sha256, scopes, who, created_at, revoked_at"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key's row; the key itself is not in it."""

    name: str
    scopes: tuple[Scope, ...]
    who: str
    created_at: str
    revoked_at: str | None = None


class ApiKeys:
    """The keys of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add(self, name: str, scopes: Collection[str], who: str) -> str:
        """Make a key. Returns it, once and for all.

        Raises:
            RegistryError: a name or a scope that cannot be.
            Conflict: there is a key of this name, revoked or not.
        """
        if not _NAME.fullmatch(name):
            raise RegistryError(
                f"A key's name has letters, digits and . _ @ - (64 at most), not {name!r}: it "
                "stands in the history of what the key did."
            )
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown or not scopes:
            raise RegistryError(
                f"A scope is one of {', '.join(SCOPES)}; got {', '.join(unknown) or 'none'}."
            )
        key = PREFIX + secrets.token_urlsafe(32)
        with self._registry.transaction():
            if any(item.name == name for item in self.all()):
                raise Conflict(f"There is a key {name!r} already (revoked ones keep their name).")
            self._registry.execute(
                f"INSERT INTO api_keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, NULL)",  # noqa: S608
                [name, _digest(key), json.dumps(sorted(set(scopes))), who, now()],
            )
        return key

    def all(self) -> list[ApiKey]:
        """Every key, also revoked ones, by name."""
        return [_key(row) for row in self._rows()]

    def revoke(self, name: str) -> ApiKey:
        """From now on the key opens nothing. Raises RegistryError: there is none of this name."""
        with self._registry.transaction():
            self._registry.execute(
                "UPDATE api_keys SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL",
                [now(), name],
            )
            found = [item for item in self.all() if item.name == name]
        if not found:
            known = ", ".join(item.name for item in self.all()) or "there are none"
            raise RegistryError(f"There is no key {name!r}. Known: {known}.")
        return found[0]

    def find(self, key: str) -> ApiKey | None:
        """Whose key it is; None: nobody's, or revoked. Takes as long for every key."""
        digest, found = _digest(key), None
        for row in self._rows():
            if hmac.compare_digest(row[1], digest) and row[5] is None:
                found = _key(row)
        return found

    def _rows(self) -> list[tuple[Any, ...]]:
        select = f"SELECT {_COLUMNS} FROM api_keys ORDER BY name"  # noqa: S608
        return list(self._registry.execute(select).fetchall())


def _key(row: tuple[Any, ...]) -> ApiKey:
    return ApiKey(row[0], tuple(json.loads(row[2])), row[3], row[4], row[5])


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
