"""What is there (`status`) and what is no longer needed (`gc`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from reindex.config import SourceSettings
from reindex.errors import Locked, StoreBusy, StoreError
from reindex.indexing.apply import write_targets
from reindex.owner.jobs import job
from reindex.promotion import latest_done, previous_collection
from reindex.registry.adoptions import Adoptions
from reindex.registry.canaries import Canaries, Canary
from reindex.registry.control import Control, RunningRun, Throttle
from reindex.registry.journal import Backlog, WriteTarget
from reindex.registry.ledger import BuiltCollection, Promotion, StoredComparison
from reindex.registry.serving_plans import ServingPlans
from reindex.registry.sweeps import Sweep, Sweeps
from reindex.stages.notifying import settle
from reindex.stages.supervision import collection_lock, supervised
from reindex.vector_cache import cache_file, cache_files, cache_size, remove_cache
from reindex.workspace import Workspace


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """A collection as the registry and the store know it. ``note`` says what differs."""

    name: str
    version: str
    state: str
    points: int
    coverage: float
    oversampling: int | None
    built_at: str | None
    role: str


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """Where the documents come from, and how their payloads are laid out."""

    kind: str
    payload: str
    text_fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """Registry and store side by side. ``differences`` names everything that does not agree.

    ``write_targets`` are the collections that single writes go to beside the live one, ``owed``
    what collections still lack of them, ``sweeps`` the flips after which late writes are still
    looked for.
    """

    project: str
    alias: str
    live_collection: str | None
    live_version: str | None
    previous_collection: str | None
    collections: tuple[CollectionStatus, ...]
    versions: int
    running: tuple[RunningRun, ...]
    throttle: Throttle | None
    differences: tuple[str, ...]
    write_targets: tuple[WriteTarget, ...]
    owed: tuple[Backlog, ...]
    sweeps: tuple[Sweep, ...]
    canary: Canary | None = None
    source: SourceStatus | None = None


def newest_comparisons(
    workspace: Workspace, version: str | None = None, limit: int = 20
) -> list[StoredComparison]:
    """Comparisons, the newest first; of one candidate, if named.

    Raises:
        UnknownVersion: there is no such version.
    """
    registry = workspace.registry
    of = workspace.collection_of(registry.version(version).name) if version else None
    return sorted(registry.comparisons(of), key=lambda item: -item.id)[: max(0, limit)]


def status(workspace: Workspace) -> Status:
    """What is live, what is built, what runs, and where registry and store disagree."""
    registry, alias = workspace.registry, workspace.settings.alias
    settle(workspace)
    live = workspace.live_collection()
    previous = previous_collection(registry, alias, live)
    version = workspace.live_version()
    known = registry.all_collections()
    present = set(workspace.store.collections())
    roles = {previous: "previous", live: "live"}
    plans = ServingPlans(registry)
    rows = tuple(_row(item, plans, present, roles.get(item.name, "")) for item in known)
    control = Control(registry)
    return Status(
        workspace.settings.project.name,
        alias,
        live,
        version.name if version else None,
        previous,
        rows,
        len(registry.versions()),
        tuple(control.running()),
        control.throttle(),
        tuple(_differences(workspace, known, present, live)),
        tuple(item for item in write_targets(workspace) if item.collection != live),
        tuple(workspace.journal.backlog()),
        tuple(Sweeps(registry).open()),
        Canaries(registry).running(alias),
        _source(workspace.settings.source),
    )


def _source(settings: SourceSettings) -> SourceStatus:
    return SourceStatus(settings.kind, settings.payload, settings.text_fields)


def _row(
    item: BuiltCollection, plans: ServingPlans, present: set[str], role: str
) -> CollectionStatus:
    plan = plans.of(item.name)
    built = "complete" if item.complete else "incomplete"
    state = built if item.name in present else "missing"
    return CollectionStatus(
        item.name,
        item.version,
        state,
        item.points,
        round(item.coverage, 4),
        plan.oversampling if plan else item.oversampling,
        item.built_at,
        role,
    )


def _differences(
    workspace: Workspace, known: list[BuiltCollection], present: set[str], live: str | None
) -> list[str]:
    """The store is the truth about itself: say where the registry tells another story."""
    found, names = [], {item.name for item in known}
    prefix = f"{workspace.settings.project.name}--v"
    for name in sorted(names - present):
        found.append(f"{name} is in the registry but not in the store; `reindex build` makes it.")
    for name in sorted(item for item in present - names if item.startswith(prefix)):
        found.append(f"{name} is in the store but not in the registry.")
    alias = workspace.settings.alias
    last = latest_done(workspace.registry, alias)
    if last is not None and last.to_collection != live:
        found.append(
            f"the alias {alias!r} points at {live}, but the last flip recorded "
            f"({last.who}, {last.finished_at}) was to {last.to_collection}: "
            "somebody moved it outside this registry."
        )
    if live is not None and live not in names:
        found.append(f"{live} is live, but the registry does not know it.")
    for item in known:
        if item.name in present:
            found.extend(_metadata_differences(workspace, item))
    return found


def _metadata_differences(workspace: Workspace, item: BuiltCollection) -> list[str]:
    try:
        info = workspace.store.info(item.name)
    except StoreBusy:
        return []  # another process serves it; what the registry says is what there is to say
    except StoreError as error:
        return [f"{item.name}: {error}"]
    found = [
        f"{item.name}: {key} is {info.metadata.get(key)} in the store, {getattr(item, key)} in "
        "the registry."
        for key in ("version", "space", "encoding", "build")
        if info.metadata.get(key) != getattr(item, key)
    ]
    adopted = Adoptions(workspace.registry).of(item.name) is not None  # its app writes all day
    if info.points != item.points and item.complete and not adopted:
        found.append(
            f"{item.name}: {info.points:,} points in the store, {item.points:,} after the last "
            "build."
        )
    return found


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What `gc` removed (or would remove), and what it kept with the reason.

    ``vectors_removed`` and ``vectors_kept`` are bytes of documents' vectors on disk.
    """

    removed: tuple[str, ...]
    kept: tuple[tuple[str, str], ...]
    dry_run: bool
    vectors_removed: int = 0
    vectors_kept: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


@job("flip", name="gc")
def collect_garbage(
    workspace: Workspace, *, dry_run: bool = False, vectors: bool = False
) -> Cleaned:
    """Drop collections that nothing needs; they can be built again.

    Kept vectors of documents go where no version embeds like that any more; with ``vectors`` all.

    Kept: live, previous, what a run works on, and anything younger than the hold-over, counted
    from its last build or from the last time it was live.
    """
    registry, alias = workspace.registry, workspace.settings.alias
    settle(workspace)
    live = workspace.live_collection()
    protected = {live: "live", previous_collection(registry, alias, live): "previous"}
    protected |= {
        sweep.from_collection: "late writes are still looked for in it"
        for sweep in Sweeps(registry).open()
    }
    canary = Canaries(registry).running(alias)
    protected |= {canary.collection: "a canary answers from it"} if canary else {}
    removed, kept = [], []
    for item in registry.all_collections():
        reason = protected.get(item.name) or _adopted(workspace, item) or _young(workspace, item)
        if reason:
            kept.append((item.name, reason))
            continue
        try:
            if not dry_run:
                with supervised(workspace, "gc", None, locks=[collection_lock(item.name)]):
                    _remove(workspace, item)
        except Locked as locked:
            kept.append((item.name, str(locked)))
        else:
            removed.append(item.name)
    if not dry_run:
        _forget_tombstones(workspace)
        workspace.recorder.prune()
    sizes = _clean_vectors(workspace, dry_run=dry_run, everything=vectors)
    return Cleaned(tuple(removed), tuple(kept), dry_run, *sizes)


def _clean_vectors(workspace: Workspace, *, dry_run: bool, everything: bool) -> tuple[int, int]:
    """Remove the vectors that no version can use; the bytes removed and kept."""
    folder = workspace.vectors_folder
    versions = workspace.registry.versions()
    dims = {version.space: version.dim for version in versions}
    known = {(version.space, version.encoding) for version in versions}
    known |= {(item.space, item.encoding) for item in workspace.registry.all_collections()}
    used = {
        cache_file(folder, space, encoding, dims[space] or 0)
        for space, encoding in known
        if space in dims and space and encoding
    }
    removed = kept = 0
    for file in cache_files(folder):
        size = cache_size(file)
        if file in used and not everything:
            kept += size
            continue
        removed += size
        if not dry_run:
            remove_cache(file)
    return removed, kept


def _forget_tombstones(workspace: Workspace) -> None:
    """Deletes are kept as long as a collection from before them may come back; beside files for
    good, because a file may still hold what was deleted.
    """
    if workspace.settings.source.kind == "collection":
        days = timedelta(days=workspace.settings.retention.hold_over_days)
        workspace.journal.forget_tombstones((datetime.now(UTC) - days).isoformat())


def _adopted(workspace: Workspace, item: BuiltCollection) -> str | None:
    """What somebody else made is not ours to drop, and could not be built again."""
    found = Adoptions(workspace.registry).of(item.name)
    return "adopted: drop it yourself when nobody needs it" if found else None


def _young(workspace: Workspace, item: BuiltCollection) -> str | None:
    # never shorter than it takes a search service to notice a flip and finish its requests
    lease = timedelta(seconds=2 * workspace.settings.serving.lease_ttl)
    hold_over = max(timedelta(days=workspace.settings.retention.hold_over_days), lease)
    touched = [item.built_at or item.created_at]
    touched += [
        flip.finished_at or flip.created_at
        for flip in workspace.registry.promotions(state="done")
        if item.name in (flip.from_collection, flip.to_collection)
    ]
    age = datetime.now(UTC) - max(datetime.fromisoformat(moment) for moment in touched)
    return f"younger than {hold_over.total_seconds() / 86400:g} days" if age < hold_over else None


def _remove(workspace: Workspace, item: BuiltCollection) -> None:
    if item.name in workspace.store.collections():
        workspace.store.drop(item.name)
    workspace.journal.retire(item.name)
    workspace.registry.remove_collection(item.name)


def history(workspace: Workspace) -> list[Promotion]:
    """All flips, newest first, the abandoned ones too."""
    settle(workspace)
    return workspace.registry.promotions()
