"""Keeping collections in step with the source: those that serve, and those that may soon."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from reindex.build import BuildReport, Guard, converge
from reindex.build.rehearsal import REV, BlankEncoder, rehearsal
from reindex.build.report import sum_of
from reindex.errors import BuildError, ReindexError, RunStopped
from reindex.owner.jobs import job
from reindex.promotion import previous_collection
from reindex.registry.ledger import BuiltCollection
from reindex.stages.building import build
from reindex.stages.notifying import settle
from reindex.stages.passes import sources_of
from reindex.stages.repairing import repair as repair_collection
from reindex.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Synced:
    """What became of one collection: a report, or the error that ended its run.

    ``repaired`` is what was done to points of other clients, where that was asked for. In a dry
    run the report says what would change; ``embedded`` is then an upper bound, because
    equal texts far apart are counted twice.
    """

    collection: str
    version: str
    role: str
    report: BuildReport | None
    error: ReindexError | None
    dry_run: bool = False
    repaired: BuildReport | None = None

    @property
    def changed(self) -> int:
        """Points written or deleted."""
        return sum(
            done.inserted + done.updated + done.payload_only + done.deleted
            for done in (self.report, self.repaired)
            if done is not None
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        error = None if self.error is None else str(self.error)
        return {
            "collection": self.collection, "version": self.version, "role": self.role,
            "report": self.report, "error": error, "dry_run": self.dry_run,
            "repaired": self.repaired,
        }  # fmt: skip


@job("work")
def sync(
    workspace: Workspace,
    versions: Sequence[str] = (),
    *,
    every: bool = False,
    allow_deletes: bool = False,
    dry_run: bool = False,
    repair: bool = False,
) -> list[Synced]:
    """Converge collections with the source, one after the other, the live one first.

    Args:
        workspace: the project.
        versions: whose collections; empty: what is live and, within the hold-over, what was live
            before.
        every: all collections that there are, candidates too.
        allow_deletes: as in `build`.
        dry_run: say what would change; nothing is embedded or written.
        repair: also take in points that other clients wrote (see `repairing`).

    Raises:
        BuildError: there is nothing to keep in step, or a version has no collection.
        ReindexError: whatever concerns the source or the whole run. What concerns one collection
            is in its `Synced.error`, and the others go on.
    """
    targets = _targets(workspace, versions, every=every)
    return [
        _one(workspace, item, role, allow_deletes=allow_deletes, dry_run=dry_run, repair=repair)
        for item, role in targets
    ]


def _one(
    workspace: Workspace,
    item: BuiltCollection,
    role: str,
    *,
    allow_deletes: bool,
    dry_run: bool,
    repair: bool,
) -> Synced:
    report, repaired, error = None, None, None
    try:
        if dry_run:
            report = _rehearse(workspace, item, allow_deletes=allow_deletes)
        else:
            report = build(workspace, item.version, allow_deletes=allow_deletes, kind="sync")
            repaired = repair_collection(workspace, item) if repair else None
    except RunStopped:
        raise
    except ReindexError as failure:
        error = failure
    return Synced(item.name, item.version, role, report, error, dry_run, repaired)


def _rehearse(workspace: Workspace, item: BuiltCollection, *, allow_deletes: bool) -> BuildReport:
    """A build's passes, on a store that forgets."""
    encoder = BlankEncoder(item.space, item.encoding, workspace.store.info(item.name).dim)
    store = rehearsal(workspace.store)
    dead = workspace.dead_letters(f"dry-run-{item.version}")
    with dead:
        return sum_of(
            converge(
                source,
                encoder,
                store,
                item.name,
                build=item.build,
                rev=REV,
                dead=dead,
                settings=workspace.settings.build,
                batch_size=workspace.settings.embed.batch_size,
                allow_deletes=allow_deletes,
                guard=Guard(tombstones=workspace.journal),
                progress=workspace.progress,
            )
            for source in sources_of(workspace, item.name)
        )


def _targets(
    workspace: Workspace, versions: Sequence[str], *, every: bool
) -> list[tuple[BuiltCollection, str]]:
    registry, alias = workspace.registry, workspace.settings.alias
    if workspace.settings.source.kind == "collection":
        raise BuildError(
            "The source is a collection, so what serves is in step by itself. A candidate follows "
            "it by `reindex build`."
        )
    settle(workspace)
    live = workspace.live_collection()
    previous = previous_collection(registry, alias, live)
    present = set(workspace.store.collections())
    roles = {live: "live", previous: "previous"}
    known = {item.name: item for item in registry.all_collections() if item.name in present}
    ours = [item for item in known.values() if not _adopted(workspace, item)]
    if every:
        wanted: Iterable[BuiltCollection] = ours
    elif versions:
        wanted = _named(workspace, versions, known)
    else:
        held = previous if _held_over(workspace, previous) else None
        wanted = [item for item in ours if item.name in (live, held)]
    order = {live: 0, previous: 1}
    chosen = sorted(wanted, key=lambda item: order.get(item.name, 2))
    if not chosen and live in known:
        raise BuildError(f"{live} {_ADOPTED}")
    if not chosen:
        raise BuildError(
            "Nothing is live yet, so there is nothing to keep in step. Promote a first version, "
            "name one (reindex sync v1), or take all collections (--all)."
        )
    roles = {live: "live", previous: "previous"}
    return [(item, roles.get(item.name, "candidate")) for item in chosen]


def _named(
    workspace: Workspace, versions: Sequence[str], known: Mapping[str, BuiltCollection]
) -> list[BuiltCollection]:
    found = []
    for name in dict.fromkeys(versions):
        workspace.registry.version(name)
        item = known.get(workspace.collection_of(name))
        if item is None:
            raise BuildError(
                f"{name} has no collection to keep in step. Build it: reindex build {name}"
            )
        if _adopted(workspace, item):
            raise BuildError(f"{item.name} {_ADOPTED}")
        found.append(item)
    return found


_ADOPTED = (
    "was taken over from another application, which keeps it up itself: it is not made equal to "
    "the source. A version that is built (reindex build) follows the source."
)


def _adopted(workspace: Workspace, item: BuiltCollection) -> bool:
    return item.name != workspace.settings.collection(item.version)


def _held_over(workspace: Workspace, previous: str | None) -> bool:
    """Whether the previous collection was live within the hold-over, by the history."""
    left = [
        datetime.fromisoformat(flip.finished_at)
        for flip in workspace.registry.promotions(state="done")
        if flip.from_collection == previous and flip.finished_at
    ]
    hold_over = timedelta(days=workspace.settings.retention.hold_over_days)
    return bool(left) and datetime.now(UTC) - max(left) < hold_over
