"""Long work over HTTP: `POST` answers 202 with a job, `/v1/jobs/{id}` tells how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, model_validator

from reindex.errors import RegistryError
from reindex.project import Project
from reindex.promotion import acting_for
from reindex.registry.control import Control, RunningRun, Verb
from reindex.registry.jobs import JobBook, JobRecord, JobState
from reindex.server.auth import Asker, needs, service_of
from reindex.server.errors import Problem
from reindex.server.service import Service
from reindex.server.work import Started

READING = [Depends(needs("read"))]
Operator = Annotated[Asker, Depends(needs("operate"))]
router = APIRouter(tags=["jobs"])


class CompareRequest(BaseModel):
    """One version, or several at once, whose verdicts then hold together."""

    version: str | None = None
    versions: Annotated[list[str], Field(min_length=1)] | None = None
    against: str | None = Field(None, description="Instead of what is live.")

    @model_validator(mode="after")
    def _one_of_both(self) -> CompareRequest:
        if (self.version is None) == (self.versions is None):
            raise ValueError("expected either version or versions")
        return self

    @property
    def names(self) -> list[str]:
        """All of them."""
        return [self.version] if self.version is not None else list(self.versions or ())


class BuildRequest(BaseModel):
    """A version whose collection is to be made equal to the source."""

    version: str
    allow_deletes: bool = Field(
        False, description="Also where more is deleted than `build.max_deletes` allows."
    )
    early_stop: bool | None = Field(
        None, description="Look at a few documents first; unset: as `build.early_stop` says."
    )


class Stage(BaseModel):
    """How far a run of a job is. ``waiting``: ``paused`` or ``throttle``."""

    run: int
    kind: str
    version: str | None
    stage: str
    done: int
    total: int | None
    per_second: float | None
    seconds_left: float | None
    waiting: str


class Failure(BaseModel):
    """Why a job did not come to its end. ``code`` names the exception."""

    code: str
    message: str


class JobView(BaseModel):
    """A job. ``outcome`` is what came of it, ``cancelled_by`` whoever asked it to end."""

    id: int
    kind: str
    arguments: dict[str, Any]
    state: JobState
    who: str
    asked_at: str
    begun_at: str | None
    ended_at: str | None
    cancelled_by: str | None
    progress: list[Stage]
    outcome: dict[str, Any] | None = None
    error: Failure | None = None


class Jobs(BaseModel):
    """Jobs, the newest first."""

    jobs: list[JobView]


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
async def one_job(id: int, request: Request) -> Any:
    """How far a job is, and what came of it."""
    service = service_of(request)
    return await service.run_aside(read_job, service.project, id)


@router.post("/v1/jobs/{id}/{verb}", response_model=JobView)
async def order(id: int, verb: Verb, request: Request, asker: Operator) -> Any:
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


def view(job: JobRecord, runs: list[RunningRun] | tuple[RunningRun, ...]) -> JobView:
    """A job with those of ``runs`` that are its."""
    failed = job.outcome.get("error") if not job.open else None
    return JobView(
        id=job.id, kind=job.kind, arguments=job.arguments, state=job.state, who=job.who,
        asked_at=job.asked_at, begun_at=job.begun_at, ended_at=job.ended_at,
        cancelled_by=job.cancelled_by,
        progress=[_stage(run) for run in runs if run.job == job.id],
        outcome=job.outcome if job.state == "done" else None,
        error=Failure(**failed) if failed else None,
    )  # fmt: skip


def _stage(run: RunningRun) -> Stage:
    return Stage(
        run=run.id, kind=run.kind, version=run.version, stage=run.stage, done=run.done,
        total=run.total, per_second=run.rate, seconds_left=run.seconds_left, waiting=run.waiting,
    )  # fmt: skip


def _for(asker: Asker) -> Any:
    return acting_for(f"{asker.name} over HTTP")


async def _check(service: Service, names: list[str]) -> None:
    for name in names:
        await service.run_aside(service.project.registry.version, name)
