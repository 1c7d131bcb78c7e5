"""What the pages say, read from the registry and the store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from reindex.errors import ReindexError
from reindex.project import Project
from reindex.registry.control import Control, RunningRun
from reindex.registry.jobs import JobBook, JobRecord
from reindex.registry.ledger import BuiltCollection, Promotion, StoredComparison, Version
from reindex.stages.upkeep import Status
from reindex.stages.upkeep import status as status_of

SHOWN_JOBS = 5
"""Jobs that have ended and are shown beside those that run."""


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which a version was live; ``until`` None: it still is."""

    since: str
    until: str | None
    kind: str
    who: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A version in the timeline. ``role``: live, previous, candidate, or empty."""

    version: Version
    role: str
    collection: BuiltCollection | None
    comparison: StoredComparison | None
    spells: tuple[Spell, ...]
    working: tuple[RunningRun, ...]

    @property
    def built(self) -> bool:
        """Whether its collection is complete."""
        return self.collection is not None and self.collection.complete

    @property
    def stage(self) -> str:
        """How far it has come, in a word."""
        if self.role == "live":
            return "live"
        if self.comparison is not None and self.built:
            return "compared"
        if self.collection is not None:
            return "built" if self.built else "partly built"
        return self.version.state


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page. ``status`` None: the store does not answer, ``trouble`` says why."""

    entries: tuple[Entry, ...]
    status: Status | None
    trouble: str


@dataclass(frozen=True, slots=True)
class Activity:
    """What runs and waits, and what has just ended."""

    jobs: tuple[JobRecord, ...]
    runs: tuple[RunningRun, ...]
    ended: tuple[JobRecord, ...]

    @property
    def busy(self) -> bool:
        """Whether to look again soon."""
        return bool(self.jobs or self.runs)

    @property
    def sign(self) -> str:
        """Another one once something has begun or ended: other parts of a page are old then."""
        now = [(job.id, job.state) for job in (*self.jobs, *self.ended)]
        return hashlib.sha256(repr((now, [run.id for run in self.runs])).encode()).hexdigest()[:16]

    @property
    def said(self) -> str:
        """For those who listen: tens of percent, so that not every step is told."""
        told = [_said(run) for run in self.runs if run.kind != "own"]
        last = [f"{words(job)}: {job.state}" for job in self.ended[:1]]
        return ". ".join(told or last)

    def runs_of(self, job: JobRecord) -> list[RunningRun]:
        """The runs that are parts of a job."""
        return [run for run in self.runs if run.job == job.id]

    @property
    def others(self) -> list[RunningRun]:
        """Runs that nobody asked for over HTTP."""
        known = {job.id for job in self.jobs}
        return [run for run in self.runs if run.job not in known]


def words(job: JobRecord) -> str:
    """``compare v2``."""
    return f"{job.kind} {job.version}".strip()


def _said(run: RunningRun) -> str:
    if not run.total:
        return f"{run.task}: {run.stage or 'begun'}"
    return f"{run.task}: {run.stage}, {10 * int(10 * run.done / run.total)} percent"


def activity(project: Project, only: int | None = None) -> Activity:
    """What goes on; of one job, if named."""
    book = JobBook(project.registry)
    jobs = book.all(SHOWN_JOBS) if only is None else [book.get(only)]
    waiting = book.open() if only is None else [job for job in jobs if job.open]
    runs = [run for run in Control(project.registry).running() if only in (None, run.job)]
    ended = tuple(job for job in jobs if not job.open)
    return Activity(tuple(waiting), tuple(runs), ended)


def overview(project: Project) -> Overview:
    """All versions, newest first."""
    status, trouble = None, ""
    try:
        status = status_of(project)
    except ReindexError as error:
        trouble = str(error)
    registry = project.registry
    flips = [item for item in registry.promotions(state="done") if item.alias == _alias(project)]
    live = status.live_collection if status else _last(flips)
    previous = status.previous_collection if status else None
    running = Control(registry).running()
    entries = [
        _entry(project, version, live, previous, flips, running)
        for version in reversed(registry.versions())
    ]
    return Overview(tuple(entries), status, trouble)


def _alias(project: Project) -> str:
    return project.settings.alias


def _last(flips: Sequence[Promotion]) -> str | None:
    return flips[0].to_collection if flips else None


def _entry(
    project: Project, version: Version, live: str | None, previous: str | None,
    flips: Sequence[Promotion], running: Sequence[RunningRun],
) -> Entry:  # fmt: skip
    name = project.collection_of(version.name)
    built = project.registry.collection(name)
    roles = {previous: "previous", live: "live"}
    role = roles.get(name, "candidate" if built and built.complete else "") if built else ""
    found = project.registry.comparisons(name)
    return Entry(
        version, role, built, found[0] if found else None, spells(flips, version.name),
        tuple(run for run in running if run.version == version.name),
    )  # fmt: skip


def spells(flips: Sequence[Promotion], version: str) -> tuple[Spell, ...]:
    """When a version was live, by the history (newest first): the newest first."""
    found = []
    until: str | None = None
    for flip in flips:
        since = flip.finished_at or flip.created_at
        if flip.version == version:
            found.append(Spell(since, until, flip.kind, flip.who))
        until = since
    return tuple(found)


def other_side(project: Project, live: str | None) -> list[str]:
    """Versions that can be searched beside what is live, newest first."""
    registry, found = project.registry, []
    for version in reversed(registry.versions()):
        built = registry.collection(project.collection_of(version.name))
        if built is not None and built.points and version.name != live:
            found.append(version.name)
    return found
