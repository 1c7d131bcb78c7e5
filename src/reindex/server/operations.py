"""Reading what the registry knows, and deciding: promote, roll back, canary.

What is answered here are the library's own records; ``response_model`` is for the description.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from reindex.plain import to_plain
from reindex.project import Project
from reindex.promotion import acting_for
from reindex.registry.canaries import Canary
from reindex.registry.ledger import Promotion, StoredComparison, Version
from reindex.server.auth import Asker, needs, service_of
from reindex.server.bodies import Body, Number
from reindex.server.errors import Problem
from reindex.server.job_views import JobView
from reindex.server.jobs import accepted, start_job
from reindex.stages.promoting import Promoted
from reindex.stages.upkeep import Status, newest_comparisons

READING = [Depends(needs("read"))]
Operator = Annotated[Asker, Depends(needs("operate"))]
router = APIRouter(tags=["versions"])


class InBackground(Body):
    """What may take long."""

    background: bool = Field(
        False, description="Answer at once (202) with a job, see `/v1/jobs/{id}`."
    )


class PromoteRequest(InBackground):
    """Which version to promote. ``force`` needs a ``reason``, which is kept in the history."""

    version: str
    dry_run: bool = False
    force: bool = False
    reason: str = ""


class RollbackRequest(InBackground):
    """Where to go back to; None: what was live before. ``now`` flips first, converges after."""

    version: str | None = None
    now: bool = False
    reason: str = ""


class CanaryRequest(Body):
    """A candidate beside what is live. What is not given stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": "v2", "weight": 0.1}]})

    version: str | None = None
    weight: Annotated[float, Field(ge=0, le=1)] | None = None
    interleave: bool | None = None


class Versions(BaseModel):
    """All versions, in their order."""

    versions: list[Version]


class Comparisons(BaseModel):
    """The newest first."""

    comparisons: list[StoredComparison]


class History(BaseModel):
    """Flips of the alias, the newest first."""

    history: list[Promotion]


BACKGROUND: dict[int | str, Any] = {202: {"model": JobView, "description": "With `background`."}}


class EndRequest(Body):
    """Why a canary ends."""

    reason: str = ""


@router.get("/v1/status", dependencies=READING, response_model=Status)
async def status(request: Request) -> Response:
    """What is live, what is built, what runs, and where registry and store disagree."""
    return await _read(request, lambda project: project.status())


@router.get("/v1/versions", dependencies=READING, response_model=Versions)
async def versions(request: Request) -> Response:
    """All versions."""
    return await _read(request, lambda project: {"versions": project.registry.versions()})


@router.get("/v1/versions/{name}", dependencies=READING, response_model=Version)
async def version(name: str, request: Request) -> Response:
    """One version."""
    return await _read(request, lambda project: project.registry.version(name))


@router.get("/v1/comparisons", dependencies=READING, response_model=Comparisons)
async def comparisons(request: Request, version: str | None = None, limit: int = 20) -> Response:
    """Comparisons, the newest first; of one version, if named."""
    return await _read(
        request, lambda project: {"comparisons": newest_comparisons(project, version, limit)}
    )


@router.get("/v1/comparisons/{id}", dependencies=READING)
async def comparison(id: Number, request: Request) -> Response:
    """One comparison with every query's scores: measure -> query -> [live, candidate]."""

    def read(project: Project) -> Any:
        registry = project.registry
        found = next((item for item in registry.comparisons() if item.id == id), None)
        if found is None:
            raise Problem(404, f"There is no comparison {id}.", code="RegistryError")
        return {**to_plain(found), "scores": registry.comparison_scores(id)}

    return await _read(request, read)


@router.get("/v1/history", dependencies=READING, response_model=History)
async def history(request: Request) -> Response:
    """Every flip of the alias: who, when, why."""
    return await _read(request, lambda project: {"history": project.history()})


@router.post("/v1/promote", response_model=Promoted, responses=BACKGROUND)
async def promote(asked: PromoteRequest, request: Request, asker: Operator) -> Response:
    """Flip the alias to a version if the gate passes; 409 with the conditions where not."""
    if asked.dry_run:
        return await _decide(
            request, asker, lambda project: project.promote(asked.version, dry_run=True)
        )
    given = {"name": asked.version, "force": asked.force, "reason": asked.reason}
    return await _as_job(request, asker, "promote", given, background=asked.background)


@router.post("/v1/rollback", response_model=Promotion, responses=BACKGROUND)
async def rollback(asked: RollbackRequest, request: Request, asker: Operator) -> Response:
    """Flip the alias back: from what is live now, even where another flip has its turn first."""
    service = service_of(request)
    live = await service.run_aside(service.project.live_collection)
    given = {"name": asked.version, "now": asked.now, "reason": asked.reason, "expected": live}
    return await _as_job(request, asker, "rollback", given, background=asked.background)


@router.post("/v1/canary", response_model=Canary)
async def canary(asked: CanaryRequest, request: Request, asker: Operator) -> Response:
    """Start a canary, or change its weight or its mode."""
    return await _decide(request, asker, lambda project: project.canary(
        asked.version, weight=asked.weight, interleave=asked.interleave
    ))  # fmt: skip


@router.post("/v1/canary/end", response_model=Canary)
async def end_canary(asked: EndRequest, request: Request, asker: Operator) -> Response:
    """What is live answers everybody again."""
    return await _decide(request, asker, lambda project: project.end_canary(asked.reason))


async def _read(request: Request, read: Callable[[Project], Any]) -> Response:
    service = service_of(request)
    return _as_json(await service.run(read, service.project))


async def _as_job(
    request: Request, asker: Asker, kind: str, given: dict[str, Any], *, background: bool
) -> Response:
    """In the lane of flips; the history names the key."""
    service = service_of(request)
    started = await start_job(service, asker, kind, given)
    if background:
        return accepted(started)
    return _as_json(await service.finish(started))


async def _decide(request: Request, asker: Asker, decide: Callable[[Project], Any]) -> Response:
    """In a thread that no search waits for; the history names the key."""
    service = service_of(request)
    with acting_for(f"{asker.name} over HTTP"):
        return _as_json(await service.run_aside(decide, service.project))


def _as_json(value: Any) -> Response:
    return Response(json.dumps(to_plain(value), ensure_ascii=False), media_type="application/json")
