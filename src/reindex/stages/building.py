"""Stage 3: the collection of a version is made equal to the source."""

from __future__ import annotations

import uuid
from dataclasses import asdict, replace
from typing import Any

from reindex.build import BuildReport
from reindex.build.report import sum_of
from reindex.encoder import OnnxEncoder
from reindex.errors import BudgetSpent, BuildError, ConfigError, RunStopped
from reindex.owner.jobs import job
from reindex.pacing import Budget
from reindex.protocols import Encoder
from reindex.records import CollectionSpec
from reindex.registry.ledger import BuiltCollection, Version
from reindex.stages.carrying import as_in, carry_indexes, carry_vectors, model_of
from reindex.stages.cutover import sweep_first
from reindex.stages.early_stop import asked_to_look, look_early
from reindex.stages.engines import LOCAL, Engine, means
from reindex.stages.graphing import build_graph
from reindex.stages.passes import one_pass, publish, sources_of
from reindex.stages.supervision import Job, collection_lock, supervised
from reindex.stages.tuning import calibrate
from reindex.workspace import Workspace

KEPT = "What was done is kept, and nothing was deleted."


@job("work")
def build(
    workspace: Workspace,
    name: str,
    *,
    allow_deletes: bool = False,
    kind: str = "build",
    budget: Budget | None = None,
    engine: Engine = LOCAL,
    early_stop: bool | None = False,
) -> BuildReport:
    """Converge the version's collection with the source. Run it again after any interruption.

    ``kind`` is what the run is called in the registry; ``engine`` embeds. Where ``budget`` is
    spent before the end, the report says so (``stopped``). ``early_stop``: look at a few documents
    first, see `reindex.stages.early_stop` (None: as ``build.early_stop`` says, where that can be).

    Raises:
        ClearlyWorse: the look showed that; nothing was built.
        ComparisonError: it cannot be taken.
        Locked: another run works on this collection.
        Cancelled: an operator asked for it. As after any other error, what was done is kept.
    """
    version = workspace.registry.version(name)
    sweep_first(workspace, allow_deletes=allow_deletes)
    lock = collection_lock(workspace.settings.collection(name))
    try:
        with supervised(workspace, kind, name, locks=[lock], budget=budget) as job:
            if asked_to_look(workspace, early_stop):
                _look_early(workspace, version, job)
            return _build(workspace, version, job, engine, allow_deletes=allow_deletes)
    except BudgetSpent as spent:
        if not isinstance(spent.report, BuildReport):
            raise
        return spent.report
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{KEPT} Go on with: reindex {kind} {name}") from None


def _look_early(workspace: Workspace, version: Version, job: Job) -> None:
    """Raises ClearlyWorse. Here and not by the workers of a cluster: it is little."""
    encoder = workspace.encoder(version, tune=True)
    look_early(workspace, version, encoder, workspace.document_encoder(version, encoder), job)


def _build(
    workspace: Workspace, version: Version, job: Job, engine: Engine, *, allow_deletes: bool
) -> BuildReport:
    collection = workspace.settings.collection(version.name)
    encoder = workspace.encoder(version, tune=engine.name == "local")
    documents = _document_encoder(workspace, version, encoder, engine)
    built = _ensure_collection(workspace, version, collection, documents.encoding)
    workspace.store.info(collection)  # held by another process: raises before anything is marked
    publish(workspace, collection)
    indexes = carry_indexes(workspace, collection)
    dead = workspace.dead_letters(f"{job.kind}-{job.id}")
    try:
        with means(workspace, encoder, documents, engine) as using, dead:
            # until the end nobody may take it for complete, also if this process dies
            workspace.registry.update_collection(collection, complete=False)
            report = sum_of(
                one_pass(
                    workspace, using.source(source), using.encoder, built,
                    job=job, dead=dead, allow_deletes=allow_deletes, crew=using.crew,
                )
                for source in sources_of(workspace, collection)
            )  # fmt: skip
        carried = _carry(workspace, collection, job, report)
    except RunStopped as stop:
        _record_stop(workspace, version, job, stop)
        raise
    job.details.update(asdict(report), dead_letters=dead.summary(), **using.details)
    job.details["carried"] = {"indexes": indexes, **carried}
    job.details.update(build_graph(workspace, built, report, job))
    _record(workspace, built, report)
    if calibrated := calibrate(workspace, encoder, collection):
        job.details["calibration"] = calibrated
    return report


def _carry(workspace: Workspace, collection: str, job: Job, report: BuildReport) -> dict[str, Any]:
    try:
        return carry_vectors(workspace, collection, job)
    except RunStopped as stop:
        stop.report = replace(report, stopped=str(stop), complete=False)
        raise


def _record_stop(workspace: Workspace, version: Version, job: Job, stop: RunStopped) -> None:
    """Write down what a stopped run did, and let its error say so."""
    if not isinstance(stop.report, BuildReport):
        return
    report = stop.report
    job.details.update(asdict(report))
    collection = workspace.settings.collection(version.name)
    workspace.registry.update_collection(collection, points=report.points)
    stop.args = (
        f"{job.kind} {version.name} ended early: {stop}. {report.documents:,} documents were read, "
        f"{report.embedded:,} texts embedded; {collection} has {report.points:,} points and is not "
        f"complete. {KEPT} Go on with: reindex {job.kind} {version.name}",
    )


def _document_encoder(
    workspace: Workspace, version: Version, encoder: OnnxEncoder, engine: Engine
) -> Encoder:
    """What embeds documents here: ``encoder``, or torch where `embed.device` names cards."""
    if engine.name != "local" and workspace.settings.embed.device != "cpu":
        raise ConfigError(
            f"embed.device is {workspace.settings.embed.device!r}, but the workers of --engine "
            f'{engine.name} embed on CPUs. Set embed.device = "cpu", or build here.'
        )
    return workspace.document_encoder(version, encoder)


def _ensure_collection(
    workspace: Workspace, version: Version, name: str, encoding: str
) -> BuiltCollection:
    """The registry's row and the store's collection, created where they are missing."""
    registry, store = workspace.registry, workspace.store
    exists = name in store.collections()
    known = registry.collection(name)
    if known is not None and not exists:  # dropped behind our back: its figures describe nothing
        registry.remove_collection(name)
        known = None
    if known is None:
        known = _register(workspace, version, name, encoding, exists=exists)
    if known.space == version.space and known.encoding != encoding:
        raise BuildError(
            f"{name} holds vectors of the encoding {known.encoding[:16]}…; with embed.device = "
            f"{workspace.settings.embed.device!r} they would be of {encoding[:16]}…. A collection "
            "holds one encoding: set embed.device as it was when the collection was built, or "
            "remove the collection with `reindex gc`."
        )
    if known.space != version.space:
        raise BuildError(
            f"{name} was built with another artifact of {version.name}. Versions are immutable: "
            f"train or adopt a new version, or remove the collection with `reindex gc`."
        )
    if not exists:
        store.create(
            CollectionSpec(
                name=name,
                dim=int(version.dim or 0),
                layout=workspace.settings.store.layout,
                prefix_dim=known.prefix_dim,
                metadata=_metadata(workspace, known),
                placement=workspace.settings.qdrant.placement,
                **as_in(model_of(workspace, name)),
            )
        )
    return known


def _register(
    workspace: Workspace, version: Version, name: str, encoding: str, *, exists: bool
) -> BuiltCollection:
    found = workspace.store.info(name).metadata if exists else {}
    layout = workspace.settings.store.layout
    workspace.registry.add_collection(
        name=name,
        version=version.name,
        space=found.get("space", version.space),
        encoding=found.get("encoding", encoding),
        build=found.get("build", uuid.uuid4().hex),
        layout=layout,
        prefix_dim=_prefix_dim(workspace, version) if layout == "two-stage" else None,
    )
    known = workspace.registry.collection(name)
    assert known is not None
    return known


def _prefix_dim(workspace: Workspace, version: Version) -> int:
    wanted = int(workspace.settings.store.prefix_dim or version.report["prefix_dim"])
    if version.dim is not None and wanted > version.dim:
        raise BuildError(
            f"store.prefix_dim = {wanted} is more than the model's {version.dim} dimensions."
        )
    return wanted


def _metadata(workspace: Workspace, built: BuiltCollection) -> dict[str, Any]:
    return {
        "project": workspace.settings.project.name,
        "version": built.version,
        "space": built.space,
        "encoding": built.encoding,
        "build": built.build,
    }


def _record(workspace: Workspace, built: BuiltCollection, report: BuildReport) -> None:
    """Write down coverage and how much was changed.

    What a run that died had written before is not known, so then all points count as changed:
    a comparison made earlier no longer speaks for this collection.
    """
    written = report.inserted + report.updated + report.payload_only + report.deleted
    if built.built_at is not None and not built.complete:
        written = max(written, report.points)
    registry = workspace.registry
    with registry.transaction():
        registry.count_writes(built.name, written)
        registry.update_collection(
            built.name,
            source=workspace.source.name,
            source_documents=_expected(report),
            points=report.points,
            complete=report.complete,
            built_at=registry.now(),
        )


def _expected(report: BuildReport) -> int:
    """How many points the source asks for.

    Every good document is in a complete collection, apart from those that were deleted meanwhile;
    and one that files and single writes both hold is one point.
    """
    return min(report.documents, report.points) if report.complete else report.documents
