"""Templates to answers, with the headers that keep a page to itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Coroutine, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader

from reindex import __version__
from reindex.errors import ReindexError
from reindex.report.page import VERDICTS, environment
from reindex.server.auth import service_of
from reindex.server.dashboard.visitors import Visitor, visitor_of
from reindex.server.errors import STATUS, Problem

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@cache
def _templates() -> Environment:
    return environment(PackageLoader("reindex.server.dashboard"))


@cache
def asset(name: str) -> bytes:
    """A file of ours; the style sheet continues that of the report."""
    own = files("reindex.server.dashboard").joinpath("static", name).read_bytes()
    if name != "style.css":
        return own
    return files("reindex.report").joinpath("templates", "report.css").read_bytes() + own


def show(
    request: Request, visitor: Visitor, template: str, *, status: int = 200, **context: Any
) -> Response:
    """A page; what is put into it is escaped."""
    service = service_of(request)
    text = _templates().get_template(template).render(
        project=service.project.settings.project.name, visitor=visitor, here=request.url.path,
        release=__version__, verdicts=VERDICTS, **context,
    )  # fmt: skip
    return HTMLResponse(text, status, dict(HEADERS))


def go_to(where: str) -> Response:
    """See there, by GET."""
    return Response(status_code=303, headers={**HEADERS, "Location": where})


def whole(text: str) -> Response:
    """A page that brings its own styles, which are allowed by their hash."""
    styles = text.split("<style>")[1:]
    hashes = " ".join(f"'sha256-{_sha256(part.split('</style>')[0])}'" for part in styles)
    policy = f"default-src 'none'; style-src {hashes}; img-src data:; frame-ancestors 'none'"
    return HTMLResponse(text, headers={**HEADERS, "Content-Security-Policy": policy})


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


class Page(APIRoute):
    """A route that tells what goes wrong as a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler with errors for people around it."""
        handle = super().get_route_handler()

        async def page(request: Request) -> Response:
            try:
                return await handle(request)
            except Problem as problem:
                return _problem(request, problem.status, str(problem), problem.headers)
            except ReindexError as error:
                status = next(status for kind, status in STATUS if isinstance(error, kind))
                return _problem(request, status, str(error), {})
            except RequestValidationError:
                return _problem(request, 404, "There is no such page.", {})

        return page


def _problem(request: Request, status: int, message: str, headers: Mapping[str, str]) -> Response:
    if status == 303:
        return go_to(headers["Location"])
    response = show(
        request, visitor_of(request), "problem.html", status=status, message=message, code=status
    )
    response.headers.update(headers)
    return response
