"""Who asks, and whether they may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Request

from reindex.registry.api_keys import PREFIX, ApiKeys, Scope
from reindex.server.errors import Problem
from reindex.server.service import Service

OPEN: frozenset[Scope] = frozenset({"search", "read"})
"""What needs no key where ``server.open_reading`` says so."""


_SCOPE = "reindex_scope"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: a key's name, or nobody's."""

    name: str
    scopes: frozenset[Scope]


def service_of(request: Request) -> Service:
    """The service of the app that answers ``request``."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


def needs(scope: Scope) -> Callable[[Request], Awaitable[Asker]]:
    """A dependency: whoever asks has ``scope``; else 401 without a key, 403 with one."""

    async def check(request: Request) -> Asker:
        service = service_of(request)
        asker = _asker(service, request)
        if scope in asker.scopes:
            request.state.asker = asker.name
            return asker
        if asker.name:
            raise Problem(403, f"The key {asker.name!r} has no scope {scope!r}.", code="scope")
        raise Problem(
            401, f"This needs a key with the scope {scope!r}: Authorization: Bearer <key>. "
            f"An operator makes one with `reindex keys add NAME --scope {scope}`.",
            code="no_key", headers={"WWW-Authenticate": "Bearer"},
        )  # fmt: skip

    setattr(check, _SCOPE, scope)
    return check


def scope_of(dependency: object) -> Scope | None:
    """Which scope a dependency of `needs` is about; None: it is another one."""
    found: Scope | None = getattr(dependency, _SCOPE, None)
    return found


def _asker(service: Service, request: Request) -> Asker:
    key = _key_of(request)
    free = OPEN if service.settings.open_reading else frozenset[Scope]()
    if key is None:
        return Asker("", free)
    found = ApiKeys(service.project.registry).find(key)
    if found is not None:
        return Asker(found.name, frozenset(found.scopes) | free)
    if service.settings.open_reading and not key.startswith(PREFIX):
        # OpenAI's clients always send some key
        return Asker("", free)
    raise Problem(
        401, "The key is not known here, or was revoked.", code="invalid_api_key",
        headers={"WWW-Authenticate": "Bearer"},
    )  # fmt: skip


def _key_of(request: Request) -> str | None:
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and key.strip():
        return key.strip()
    return request.headers.get("x-api-key") or None
