"""The pages that are read."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from reindex.project import Project
from reindex.registry.jobs import JobBook
from reindex.report.page import render
from reindex.server.auth import service_of
from reindex.server.bodies import Number
from reindex.server.dashboard import actions, comparing, overview, searching
from reindex.server.dashboard.describing import reference
from reindex.server.dashboard.rendering import HEADERS, Page, asset, show, whole
from reindex.server.dashboard.visitors import allowed, visitor_of
from reindex.server.errors import Problem
from reindex.server.jobs import read_job

router = APIRouter(route_class=Page, include_in_schema=False)
router.include_router(actions.router)

KINDS = {"style.css": "text/css", "live.js": "text/javascript"}


@router.get("/")
async def home(request: Request) -> Response:
    """Versions as a timeline, what is live, what runs."""
    visitor, service = allowed(request, "read"), service_of(request)

    def read(project: Project) -> dict[str, Any]:
        return {
            "seen": overview.overview(project),
            "activity": overview.activity(project),
            "condition": service.condition(),
        }

    return show(request, visitor, "home.html", **await service.run(read, service.project))


@router.get("/ui/parts/{part}")
async def part(part: str, request: Request, job: int | None = None) -> Response:
    """A part of a page, as it is by now."""
    visitor, service = allowed(request, "read"), service_of(request)
    if part in ("live", "versions"):
        seen = await service.run(overview.overview, service.project)
        condition = await service.run(service.condition)
        return show(request, visitor, f"{part}.html", seen=seen, condition=condition)
    if part != "activity":
        raise Problem(404, "There is no such part.")
    found = await service.run_aside(overview.activity, service.project, job)
    return show(request, visitor, "activity.html", activity=found, job=job)


@router.get("/ui/versions/{name}")
async def version(name: str, request: Request) -> Response:
    """One version: how it was made, its collection, its comparisons."""
    visitor, service = allowed(request, "read"), service_of(request)

    def read(project: Project) -> dict[str, Any]:
        project.registry.version(name)
        seen = overview.overview(project)
        entry = next(item for item in seen.entries if item.version.name == name)
        found = project.registry.comparisons(project.collection_of(name))
        return {"entry": entry, "comparisons": found}

    return show(request, visitor, "version.html", **await service.run(read, service.project))


@router.get("/ui/versions/{name}/report")
async def report(name: str, request: Request) -> Response:
    """The whole report of a version's last comparison, as `reindex report` writes it."""
    allowed(request, "read")
    service = service_of(request)
    return whole(await service.run(lambda project: render(project.report(name)), service.project))


@router.get("/ui/comparisons/{id}")
async def comparison(id: Number, request: Request, sort: str = "worst", page: int = 1) -> Response:
    """Verdict, charts, and every query."""
    visitor, service = allowed(request, "read"), service_of(request)
    found = await service.run(comparing.page_of, service.project, id, sort, page)
    return show(request, visitor, "comparison.html", **found)


@router.get("/ui/comparisons/{id}/queries/{number}")
async def query(id: Number, number: Number, request: Request) -> Response:
    """What both sides found for a query."""
    visitor, service = allowed(request, "read"), service_of(request)
    found = await service.run(comparing.query_of, service.project, id, number)
    return show(request, visitor, "query.html", **found)


@router.get("/ui/search")
async def search(request: Request, q: str = "", beside: str = "", k: int = 5) -> Response:
    """Live and a candidate side by side."""
    visitor, service = allowed(request, "read"), service_of(request)
    if q:
        allowed(request, "search")
    asked = searching.Asked(q.strip(), beside, max(1, min(k, searching.MOST)))
    found = await service.run(searching.search, service, asked)
    return show(request, visitor, "search.html", asked=asked, found=found)


@router.get("/ui/jobs")
async def jobs(request: Request) -> Response:
    """What was asked for over HTTP."""
    visitor, service = allowed(request, "read"), service_of(request)
    found = await service.run_aside(lambda: JobBook(service.project.registry).all(100))
    activity = await service.run_aside(overview.activity, service.project)
    return show(request, visitor, "jobs.html", jobs=found, activity=activity)


@router.get("/ui/jobs/{id}")
async def job(id: Number, request: Request) -> Response:
    """How far a job is, and what came of it."""
    visitor, service = allowed(request, "read"), service_of(request)
    await service.run_aside(read_job, service.project, id)
    found = await service.run_aside(overview.activity, service.project, id)
    record = await service.run_aside(JobBook(service.project.registry).get, id)
    return show(request, visitor, "job.html", job=record, activity=found)


@router.get("/ui/history")
async def history(request: Request) -> Response:
    """Every flip of the alias."""
    visitor, service = allowed(request, "read"), service_of(request)
    flips = await service.run(service.project.history)
    return show(request, visitor, "history.html", flips=flips)


@router.get("/docs")
async def api(request: Request) -> Response:
    """Every route and every field, from the same description as `/openapi.json`."""
    found = reference(request.app.openapi(), str(request.base_url).rstrip("/"))
    return show(request, visitor_of(request), "api.html", reference=found)


@router.get("/ui/static/{name}")
async def static(name: str) -> Response:
    """The style sheet and the script."""
    if name not in KINDS:
        return Response(status_code=404)
    headers = {**HEADERS, "Cache-Control": "no-cache"}
    return Response(asset(name), media_type=KINDS[name], headers=headers)
