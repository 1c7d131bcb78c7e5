"""What is asked of jobs over HTTP, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from reindex.registry.control import RunningRun
from reindex.registry.jobs import JobRecord, JobState
from reindex.server.bodies import Body


class CompareRequest(Body):
    """One version, or several at once, whose verdicts then hold together."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": "v2"}]})

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


class BuildRequest(Body):
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


def view(job: JobRecord, runs: Sequence[RunningRun]) -> JobView:
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
