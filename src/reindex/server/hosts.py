"""By which names the server may be asked.

A web site can let its own name point at the reader's machine (DNS rebinding), and then read from a
server there as if that were the site: the browser sees one origin. The name stands in ``Host``.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from reindex.config.server import ServerSettings
from reindex.server.errors import answer
from reindex.server.middleware import App, Receive, Scope, Send


def is_here(host: str) -> bool:
    """Whether only this machine reaches what listens at ``host``."""
    return host == "localhost" or _is_loopback(host)


def allowed_names(settings: ServerSettings) -> frozenset[str] | None:
    """Beside addresses and localhost; None: any."""
    if settings.allowed_hosts or is_here(settings.host):
        return frozenset(name.lower() for name in settings.allowed_hosts)
    return None


class KnownHost:
    """Answers 421 where a request calls the server by a name that is not among ``names``."""

    def __init__(self, app: App, names: frozenset[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and not self._knows(dict(scope["headers"]).get(b"host", b"")):
            refusal = answer(
                421, "The server is not known by this name. To let it be: server.allowed_hosts.",
                code="unknown_host",
            )  # fmt: skip
            return await refusal(scope, receive, send)
        await self._app(scope, receive, send)

    def _knows(self, told: bytes) -> bool:
        try:
            name = urlsplit(f"//{told.decode('ascii')}").hostname or ""
        except ValueError:
            return False
        return name in ("", "localhost", *self._names) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ip_address(name).is_loopback
