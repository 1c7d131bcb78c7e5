"""Long work over HTTP: `POST` answers 202 with a job, `/v1/jobs/{id}` tells how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from reindex.errors import RegistryError
from reindex.project import Project
from reindex.promotion import acting_for
from reindex.registry.control import Control, Verb
from reindex.registry.jobs import JobBook
from reindex.server.auth import Asker, needs, service_of
from reindex.server.bodies import Number
from reindex.server.errors import Problem
from reindex.server.job_views import BuildRequest, CompareRequest, Jobs, JobView, view
from reindex.server.service import Service
from reindex.server.work import Started

READING = [Depends(needs("read"))]
Operator = Annotated[Asker, Depends(needs("operate"))]
router = APIRouter(tags=["jobs"])


@router.post("/v1/comparisons", status_code=202, response_model=JobView)
async def compare(asked: CompareRequest, request: Request, asker: Operator) -> Response:
    """Compare versions with what is live on the judged queries, as a job."""
    service = service_of(request)
    await _check(service, [*asked.names, *([asked.against] if asked.against else [])])
    kind = "compare" if asked.version is not None else "compare-several"
    named = {"name": asked.version} if asked.version is not None else {"names": asked.names}
    given = {**named, "against": asked.against}
    return accepted(await start_job(service, asker, kind, given, again=False))


@router.post("/v1/builds", status_code=202, response_model=JobView)
async def build(asked: BuildRequest, request: Request, asker: Operator) -> Response:
    """Build a version's collection, or go on with a build that was interrupted, as a job."""
    service = service_of(request)
    await _check(service, [asked.version])
    given = {
        "name": asked.version, "allow_deletes": asked.allow_deletes,
        "early_stop": asked.early_stop,
    }  # fmt: skip
    return accepted(await start_job(service, asker, "build", given, again=False))


@router.get("/v1/jobs", dependencies=READING, response_model=Jobs)
async def all_jobs(
    request: Request, state: Literal["open"] | None = None,
    limit: Annotated[int, Field(ge=1, le=1000)] = 50,
) -> Any:  # fmt: skip
    """What was asked for over HTTP; with ``state=open`` only what waits and runs."""
    service = service_of(request)

    def read(project: Project) -> Jobs:
        book = JobBook(project.registry)
        found = book.open()[::-1][:limit] if state == "open" else book.all(limit)
        runs = Control(project.registry).running()
        return Jobs(jobs=[view(job, runs) for job in found])

    return await service.run_aside(read, service.project)


@router.get("/v1/jobs/{id}", dependencies=READING, response_model=JobView)
async def one_job(id: Number, request: Request) -> Any:
    """How far a job is, and what came of it."""
    service = service_of(request)
    return await service.run_aside(read_job, service.project, id)


@router.post("/v1/jobs/{id}/{verb}", response_model=JobView)
async def order(id: Number, verb: Verb, request: Request, asker: Operator) -> Any:
    """Cancel, pause or resume a job, whichever process does it. What was done is kept."""
    service = service_of(request)
    return await order_job(service, asker, verb, id)


async def order_job(service: Service, asker: Asker, verb: Verb, id: int) -> JobView:
    """Order a job for whoever asks."""
    await service.run_aside(read_job, service.project, id)
    with _for(asker):
        await service.run_aside(service.work.ask, verb, id)
    return await service.run_aside(read_job, service.project, id)


async def start_job(
    service: Service, asker: Asker, kind: str, given: Mapping[str, Any], *, again: bool = True
) -> Started:
    """Take a job for whoever asks. The registry and the history name the key."""
    with _for(asker):
        return await service.run_aside(service.work.start, kind, given, again=again)


def accepted(started: Started) -> Response:
    """202 with the job and where it is; also of one that was open already."""
    job = view(started.record, ())
    where = {"Location": f"/v1/jobs/{job.id}"}
    return JSONResponse(job.model_dump(), 202, where)


def read_job(project: Project, id: int) -> JobView:
    """A job as it stands. Raises Problem: 404."""
    book = JobBook(project.registry)
    try:
        book.open()  # closes what is over
        job = book.get(id)
    except RegistryError as error:
        raise Problem(404, str(error), code="RegistryError") from error
    return view(job, Control(project.registry).running())


def _for(asker: Asker) -> Any:
    return acting_for(f"{asker.name} over HTTP")


async def _check(service: Service, names: list[str]) -> None:
    for name in names:
        await service.run_aside(service.project.registry.version, name)
