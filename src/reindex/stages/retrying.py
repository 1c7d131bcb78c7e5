"""Stage 3 again, for some: the documents in the dead letters of the last build."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from reindex.build import BuildReport
from reindex.corpus.dead_letters import DeadLetters
from reindex.corpus.retrying import (
    Letter,
    read_letters,
    retry_source,
    write_letters,
)
from reindex.errors import BuildError
from reindex.owner.jobs import job
from reindex.registry.ledger import BuiltCollection, Run
from reindex.stages.carrying import carry_vectors
from reindex.stages.passes import one_pass
from reindex.stages.supervision import Job, collection_lock, supervised
from reindex.workspace import Workspace

KINDS = ("build", "sync")
"""Runs whose dead letters are tried again."""
RUNS = 10_000
OURS = ("conflict", "id collision", "encoder", "store")
"""Reasons that keep a collection from being complete: the row itself is good."""


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of the dead letters of a run.

    Attributes:
        file: the dead-letter file; gone where nothing is left.
        tried, left: letters before and after; the others are mended, or gone from the source.
        reasons: why those that are left are still bad, with their number.
        report: what was written; None where there was nothing to try.
    """

    version: str
    run: int
    file: str
    tried: int
    left: int
    reasons: dict[str, int]
    report: BuildReport | None


@job("work")
def retry_failed(workspace: Workspace, name: str | None = None) -> Retried:
    """Try the documents again that the last build of a version could not use.

    What succeeds leaves the dead-letter file; what is still bad stays, with the new reason. A
    retry that is interrupted leaves the file as it was.

    Raises:
        BuildError: the version was never built.
        Locked: another run works on the collection.
    """
    run = _last_build(workspace, name)
    version = str(run.version)
    lock = collection_lock(workspace.settings.collection(version))
    with supervised(workspace, "retry-failed", version, locks=[lock]) as job:
        path = workspace.settings.home / "dead-letters" / f"{run.kind}-{run.id}.jsonl"
        letters = read_letters(path)
        if not letters:
            return Retried(version, run.id, str(path), 0, 0, {}, None)
        return _retry(workspace, job, run, path, letters)


def _last_build(workspace: Workspace, name: str | None) -> Run:
    if name is not None:
        workspace.registry.version(name)
    for run in workspace.registry.runs(RUNS):
        if run.kind in KINDS and name in (None, run.version) and run.state != "running":
            return run
    raise BuildError(f"{name or 'No version'} was built yet. Run: reindex build {name or 'v1'}")


def _retry(workspace: Workspace, job: Job, run: Run, path: Path, letters: list[Letter]) -> Retried:
    built = workspace.registry.collection(workspace.settings.collection(str(run.version)))
    if built is None:
        raise BuildError(f"{run.version} has no collection. Run: reindex build {run.version}")
    source = retry_source(workspace.source, letters)
    dead = DeadLetters(path.with_name(f"retry-{job.id}.jsonl"), max_share=1.0)
    encoder = workspace.encoder_into(built)
    with dead:
        report = one_pass(workspace, source, encoder, built, job=job, dead=dead)
    carry_vectors(workspace, built.name, job)
    again = read_letters(dead.path)
    left = source.untried + again
    _record(workspace, built, run, report, left)
    write_letters(path, left)
    dead.path.unlink(missing_ok=True)
    retried = Retried(
        str(run.version), run.id, str(path), len(letters), len(left), _reasons(left), report
    )
    job.details.update({**asdict(retried), "report": asdict(report)})
    return retried


def _reasons(letters: list[Letter]) -> dict[str, int]:
    found: dict[str, int] = {}
    for letter in letters:
        short = letter.reason.partition(":")[0]
        found[short] = found.get(short, 0) + 1
    return found


def _record(
    workspace: Workspace,
    built: BuiltCollection,
    run: Run,
    report: BuildReport,
    left: list[Letter],
) -> None:
    """Count what was written; a build that lacked nothing but what is mended now is complete."""
    registry = workspace.registry
    ended = run.state == "done" and not run.details.get("contended")
    mended = ended and not report.contended and not any(_reasons(left).get(key) for key in OURS)
    with registry.transaction():
        registry.count_writes(built.name, report.inserted + report.updated + report.payload_only)
        registry.update_collection(
            built.name,
            points=report.points,
            source_documents=max(built.source_documents, report.points),
            complete=built.complete or mended,
        )
