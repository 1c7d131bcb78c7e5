"""The pages that change something: logging in, jobs, and flips after a confirmation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from reindex.errors import PromotionRefused
from reindex.gate import GateDecision
from reindex.project import Project
from reindex.promotion import previous_collection
from reindex.registry.control import Verb
from reindex.server.auth import service_of
from reindex.server.bodies import Number
from reindex.server.dashboard.rendering import Page, go_to, show
from reindex.server.dashboard.visitors import (
    Visitor,
    allowed,
    form_of,
    log_in,
    log_out,
    remember,
    visitor_of,
)
from reindex.server.errors import Problem
from reindex.server.jobs import order_job, start_job
from reindex.server.service import Service

router = APIRouter(route_class=Page, include_in_schema=False)

_OURS = re.compile(r"/(ui/[\w./-]*)?")
"""Where one may be sent after logging in: to a page of ours, and nowhere else."""


@router.get("/ui/login")
async def login_form(request: Request, next: str = "/") -> Response:
    """Asks for a key."""
    return _login(request, next)


def _login(request: Request, back: str, wrong: str = "", status: int = 200) -> Response:
    visitor = visitor_of(request)
    response = show(request, visitor, "login.html", status=status, back=back, wrong=wrong)
    if not visitor.name:
        remember(request, response, visitor.token)  # what its form is guarded by
    return response


@router.post("/ui/login")
async def login(request: Request) -> Response:
    """Opens a session for whoever has a key."""
    service, visitor = service_of(request), visitor_of(request)
    fields = await form_of(request, visitor)
    back = fields.get("next", "/")
    token = await service.run_aside(log_in, service, fields.get("key", ""))
    if token is None:
        return _login(request, back, "This key is not known here, or was revoked.", 401)
    response = go_to(back if _OURS.fullmatch(back) else "/")
    remember(request, response, token)
    return response


@router.post("/ui/logout")
async def logout(request: Request) -> Response:
    """Ends the session."""
    service, visitor = service_of(request), visitor_of(request)
    await form_of(request, visitor)
    await service.run_aside(log_out, service, visitor)
    return go_to("/")


@router.post("/ui/versions/{name}/build")
async def build(name: str, request: Request) -> Response:
    """Builds a version, or goes on with that."""
    return await _start(request, "build", {"name": name, "early_stop": None}, name)


@router.post("/ui/versions/{name}/compare")
async def compare(name: str, request: Request) -> Response:
    """Compares a version with what is live."""
    return await _start(request, "compare", {"name": name, "against": None}, name)


async def _start(request: Request, kind: str, given: Mapping[str, Any], name: str) -> Response:
    visitor, service = allowed(request, "operate"), service_of(request)
    await form_of(request, visitor)
    await service.run_aside(service.project.registry.version, name)
    started = await start_job(service, visitor.asker, kind, given, again=False)
    return go_to(f"/ui/jobs/{started.record.id}")


@router.post("/ui/jobs/{id}/{verb}")
async def order(id: Number, verb: Verb, request: Request) -> Response:
    """Cancels, pauses or resumes a job."""
    visitor, service = allowed(request, "operate"), service_of(request)
    await form_of(request, visitor)
    await order_job(service, visitor.asker, verb, id)
    return go_to(f"/ui/jobs/{id}")


@router.get("/ui/versions/{name}/promote")
async def ask_promote(name: str, request: Request) -> Response:
    """What the gate says, and what would happen."""
    visitor, service = allowed(request, "operate"), service_of(request)
    return await _confirm_promote(request, service, visitor, name)


async def _confirm_promote(
    request: Request, service: Service, visitor: Visitor, name: str, missing: str = ""
) -> Response:
    decision = await service.run(_decision, service.project, name)
    return show(
        request, visitor, "promote.html", status=400 if missing else 200, name=name,
        decision=decision, missing=missing,
    )  # fmt: skip


def _decision(project: Project, name: str) -> GateDecision:
    return project.promote(name, dry_run=True).decision


@router.post("/ui/versions/{name}/promote")
async def promote(name: str, request: Request) -> Response:
    """Flips to a version, from what was live when that was shown."""
    visitor, service = allowed(request, "operate"), service_of(request)
    fields = await form_of(request, visitor)
    force, reason = fields.get("force") == "yes", fields.get("reason", "").strip()
    await _check_live(service, fields)
    if force and not reason:
        told = "To promote against the gate, say why: the history keeps it."
        return await _confirm_promote(request, service, visitor, name, told)
    given = {"name": name, "force": force, "reason": reason}
    started = await start_job(service, visitor.asker, "promote", given)
    return go_to(f"/ui/jobs/{started.record.id}")


@router.get("/ui/rollback")
async def ask_rollback(request: Request) -> Response:
    """What would be live again."""
    visitor, service = allowed(request, "operate"), service_of(request)
    live, target = await service.run(_back, service.project)
    return show(request, visitor, "rollback.html", live=live, target=target)


def _back(project: Project) -> tuple[str | None, str]:
    """(what is live, the collection before it)."""
    live = project.live_collection()
    target = previous_collection(project.registry, project.settings.alias, live)
    if target is None:
        raise PromotionRefused(
            f"No version was live before {live}: there is nothing to go back to."
        )
    return live, target


@router.post("/ui/rollback")
async def rollback(request: Request) -> Response:
    """Flips back, from what was live when that was shown."""
    visitor, service = allowed(request, "operate"), service_of(request)
    fields = await form_of(request, visitor)
    await _check_live(service, fields)
    given = {
        "name": None, "now": fields.get("when") == "now", "reason": fields.get("reason", ""),
        "expected": fields.get("live"),
    }  # fmt: skip
    started = await start_job(service, visitor.asker, "rollback", given)
    return go_to(f"/ui/jobs/{started.record.id}")


async def _check_live(service: Service, fields: Mapping[str, str]) -> None:
    live = await service.run_aside(service.project.live_collection)
    if fields.get("live", "") != (live or ""):
        raise Problem(
            409, f"{live or 'Nothing'} is live by now, not {fields.get('live') or 'nothing'}, as "
            "when this was shown. Nothing was changed: look again, then decide.",
        )  # fmt: skip
