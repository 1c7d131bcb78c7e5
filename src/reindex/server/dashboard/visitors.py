"""Who looks at the dashboard: by a session's cookie, opened with an API key.

The token that guards forms (against requests forged by other sites) is an HMAC under the session's
own token, so nobody who does not have the cookie can make it, and nothing more is to be stored.
See https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qs, quote

from fastapi import Request, Response

from reindex.registry.api_keys import ApiKeys, Scope
from reindex.registry.sessions import Sessions
from reindex.server.auth import OPEN, Asker, service_of
from reindex.server.errors import Problem
from reindex.server.service import Service

MOST_FIELDS = 20


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks. ``name`` is the key's, empty for nobody's; ``token`` the session's, which for
    nobody is that of his cookie, or one to put there before a form is shown.
    """

    name: str
    scopes: frozenset[Scope]
    token: str

    @property
    def csrf(self) -> str:
        """What every form of this session bears."""
        return hmac.new(self.token.encode(), b"reindex form", hashlib.sha256).hexdigest()

    @property
    def operates(self) -> bool:
        """Whether buttons are shown that change something."""
        return "operate" in self.scopes

    @property
    def asker(self) -> Asker:
        """As the rest of the server knows who asks."""
        return Asker(self.name, self.scopes)


class LogIn(Problem):
    """A page that needs a key; the visitor is sent to the form and comes back."""

    def __init__(self, request: Request) -> None:
        back = request.url.path if request.method == "GET" else "/"
        super().__init__(303, "Log in.", headers={"Location": f"/ui/login?next={quote(back)}"})


def cookie_name(service: Service) -> str:
    """One per project: cookies are shared by all ports of a host."""
    home = str(service.project.settings.home.resolve())
    return f"reindex_{hashlib.sha256(home.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"


def visitor_of(request: Request) -> Visitor:
    """Who asks for a page."""
    service = service_of(request)
    free = OPEN if service.settings.open_reading else frozenset[Scope]()
    token = request.cookies.get(cookie_name(service), "")
    key = Sessions(service.project.registry).find(token) if token else None
    if key is None:
        return Visitor("", free, token or secrets.token_urlsafe(32))
    request.state.asker = key.name
    return Visitor(key.name, frozenset(key.scopes) | free, token)


def allowed(request: Request, scope: Scope) -> Visitor:
    """Who asks, if he may.

    Raises:
        LogIn: nobody is logged in. Problem: the key has no such scope (403).
    """
    visitor = visitor_of(request)
    if scope in visitor.scopes:
        return visitor
    if not visitor.name:
        raise LogIn(request)
    raise Problem(403, f"The key {visitor.name!r} has no scope {scope!r}.", code="scope")


async def form_of(request: Request, visitor: Visitor) -> dict[str, str]:
    """The fields of a form that this very visitor was shown.

    Raises:
        Problem: it comes from elsewhere, or from a session that is over (403), or is none (400).
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    body = await request.body()
    try:
        found = parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise Problem(400, "Expected the fields of a form.") from error
    fields = {name: values[-1] for name, values in found.items()}
    given = fields.pop("csrf", "")
    if site != "same-origin" or not hmac.compare_digest(given.encode(), visitor.csrf.encode()):
        raise Problem(
            403, "This form is not from this page, or your session is over. Open the page again.",
            code="csrf",
        )  # fmt: skip
    return fields


def log_in(service: Service, key: str) -> str | None:
    """The token of a new session for whoever has a key; None: it is not known, or was revoked."""
    found = ApiKeys(service.project.registry).find(key.strip())
    if found is None:
        return None
    life = timedelta(hours=service.settings.session_hours)
    return Sessions(service.project.registry).open(found, life)


def log_out(service: Service, visitor: Visitor) -> None:
    """End the visitor's session."""
    Sessions(service.project.registry).close(visitor.token)


def remember(request: Request, response: Response, token: str) -> None:
    """Put a session's token into the visitor's cookie: for no script, and no other site."""
    response.set_cookie(
        cookie_name(service_of(request)), token, httponly=True, samesite="strict", path="/",
        secure=request.url.scheme == "https",
    )  # fmt: skip
