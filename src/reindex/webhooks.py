"""Webhooks: JSON to addresses of the operator's choice, signed, and never in anybody's way.

A flip is done before anything is sent, and nothing that happens here can undo or delay it. An
address that lies in a private network is refused unless that is allowed, the address that was
checked is the one that is connected to (no second look-up of the name), and redirects are not
followed. Only the host of an address is ever shown or kept: paths and queries may hold secrets.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

SIGNATURE = "X-Reindex-Signature"
EVENT = "X-Reindex-Event"
BACKOFF_S = 0.5
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
UNREADABLE = "an address that cannot be read"
RETRIED = frozenset({408, 425, 429, *range(500, 600)})
"""Answers after which it is tried again."""


class Refused(Exception):
    """An address that nothing is sent to; says why, without the address' path."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one message to one host."""

    host: str
    attempts: int
    outcome: str

    @property
    def delivered(self) -> bool:
        """Whether the host took it."""
        return self.outcome == "delivered"


@dataclass(frozen=True, slots=True)
class Sender:
    """How messages are sent. ``secret`` signs them; ``private`` allows private networks."""

    secret: str = field(default="", repr=False)
    timeout_s: float = 5.0
    attempts: int = 3
    private: bool = False
    sleep: Callable[[float], None] = time.sleep

    def send(self, url: str, event: str, body: Mapping[str, Any]) -> Delivery:
        """Deliver one message, trying again where that may help. Raises nothing."""
        host, attempt, outcome = host_of(url), 0, ""
        try:
            parts = urlsplit(url)
            for attempt in range(1, self.attempts + 1):
                outcome, again = self._try(parts, event, json.dumps(body, default=str).encode())
                if not again:
                    break
                if attempt < self.attempts:
                    self.sleep(BACKOFF_S * 2 ** (attempt - 1))
        except Exception as error:
            outcome = _told(error)
        return Delivery(host, attempt, outcome)

    def _try(self, url: SplitResult, event: str, body: bytes) -> tuple[str, bool]:
        """What came of it, and whether to try again."""
        try:
            status = self._post(url, event, body)
        except Refused as refused:
            return str(refused), False
        except (OSError, http.client.HTTPException) as error:
            return _told(error), True
        if 200 <= status < 300:
            return "delivered", False
        what = "a redirect, which is not followed" if 300 <= status < 400 else "an error"
        return f"answered {status}: {what}", status in RETRIED

    def _post(self, url: SplitResult, event: str, body: bytes) -> int:
        connection = _connection(url, self.timeout_s, private=self.private)
        headers = {"Content-Type": "application/json", "User-Agent": "reindex", EVENT: event}
        if self.secret:
            headers[SIGNATURE] = f"sha256={signature(self.secret, body)}"
        if url.username is not None:
            raise Refused("not sent: put credentials into the secret, not into the address")
        target = url.path or "/"
        try:
            connection.request("POST", f"{target}?{url.query}" if url.query else target,
                               body, headers)  # fmt: skip
            return connection.getresponse().status
        finally:
            connection.close()


def host_of(url: str) -> str:
    """All of an address that is ever shown or kept."""
    try:
        return urlsplit(url).hostname or UNREADABLE
    except ValueError:
        return UNREADABLE


def signature(secret: str, body: bytes) -> str:
    """HMAC-SHA256 of the body, in hex: what a receiver computes and compares."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _connection(url: SplitResult, timeout: float, *, private: bool) -> http.client.HTTPConnection:
    """A connection to the very address that was checked."""
    if url.scheme not in ("http", "https") or not url.hostname:
        raise Refused("not sent: expected an http or https address")
    port = url.port or (443 if url.scheme == "https" else 80)
    address = _checked(url.hostname, port, private=private)
    if url.scheme == "http":
        return _Pinned(url.hostname, port, timeout=timeout, address=address)
    return _PinnedTls(url.hostname, port, timeout=timeout, address=address)


def _checked(host: str, port: int, *, private: bool) -> str:
    """The first address of a host; refused where any of them is not public."""
    found = [str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        seen = ipaddress.ip_address(address.partition("%")[0])
        inner = _within(seen)
        if not private and (not inner.is_global or inner.is_multicast):
            raise Refused("not sent: it is in a private network (notify.allow_private)")
    return found[0]


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Any:
    """The IPv4 address that a translator between both would send this on to; else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or address


class _Pinned(http.client.HTTPConnection):
    def __init__(self, host: str, port: int, *, timeout: float, address: str) -> None:
        super().__init__(host, port, timeout=timeout)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)


class _PinnedTls(_Pinned):
    default_port = 443

    def connect(self) -> None:
        super().connect()
        context = ssl.create_default_context()
        self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


def _told(error: BaseException) -> str:
    """An error without what it may quote of the address."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else ""
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__
