"""What a collection must agree with while it may be written to: one pass over each source.

Beside the configured source that is, for files and tables, whatever single writes and other
clients put into the live collection: it lives nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

from reindex.build import BuildReport, Guard, converge
from reindex.build.hand import Crew
from reindex.corpus.collection import CollectionSource
from reindex.corpus.frameworks import stored_text
from reindex.errors import DataError
from reindex.indexing.apply import replay, write_targets
from reindex.promotion import was_live
from reindex.protocols import BulkEncoder, DeadLetterSink, DocumentSource, Encoder
from reindex.records import INDEXER_SOURCE, Stamp
from reindex.registry.adoptions import Adoptions
from reindex.registry.ledger import BuiltCollection
from reindex.stages.originals import originals_of
from reindex.stages.supervision import Job
from reindex.workspace import Workspace


def publish(workspace: Workspace, collection: str) -> bool:
    """Make a collection that is not live a write target; returns whether it was none before.

    What was journaled before that is in the live collection when this returns, so that reading
    it finds every write that is not delivered to the collection itself.
    """
    live = workspace.live_collection()
    if live is None or live == collection:
        return False
    new = all(item.collection != collection for item in write_targets(workspace))
    if new:
        before = was_live(workspace.registry, workspace.settings.alias, collection)
        workspace.journal.publish(collection, "held-over" if before else "candidate")
    replay(workspace, live)
    replay(workspace, collection)
    return new


def beside_files(workspace: Workspace, live: str) -> CollectionSource | None:
    """The documents that only the live collection has; None where it is the source itself.

    Those of single writes; and, where the collection was built from the source, points without a
    stamp, which other clients wrote. (In one that was adopted all points are without.)
    """
    settings = workspace.settings.source
    if settings.kind == "collection":
        return None
    belongs = _Beside(others=_is_from_source(workspace, live))
    return CollectionSource(
        workspace.store, live, name=INDEXER_SOURCE, text_of=stored_text(settings), belongs=belongs
    )


@dataclass(frozen=True, slots=True)
class _Beside:
    """Which points no file gives: those of single writes; unstamped ones where ``others`` is set.

    A class and no closure, so that workers on other machines can have it.
    """

    others: bool

    def __call__(self, stamp: Stamp | None) -> bool:
        return self.others if stamp is None else stamp.source == INDEXER_SOURCE


def _is_from_source(workspace: Workspace, collection: str) -> bool:
    built = workspace.registry.collection(collection)
    try:
        return built is not None and built.source == workspace.source.name
    except DataError:  # the files are gone: what was built from them is still there
        return built is not None and bool(built.source)


def sources_of(workspace: Workspace, collection: str) -> list[DocumentSource]:
    """Everything that a build makes a collection equal to, in this order."""
    live = workspace.live_collection()
    beside = None if live in (None, collection) else beside_files(workspace, str(live))
    return [workspace.source] if beside is None else [beside, workspace.source]


def one_pass(  # noqa: PLR0913 (what identifies the run)
    workspace: Workspace,
    source: DocumentSource,
    encoder: Encoder,
    built: BuiltCollection,
    *,
    job: Job,
    dead: DeadLetterSink,
    allow_deletes: bool = False,
    rev: int | None = None,
    careful: bool = False,
    crew: Crew | None = None,
) -> BuildReport:
    """Converge a collection with one source, minding single writes.

    Args:
        rev: the run's, unless this pass has its own.
        careful: the collection is live, so what is not as we wrote it stays.
        crew: embeds and writes elsewhere.
    """
    adopted = Adoptions(workspace.registry).of(built.name) is not None
    guard = Guard(
        tombstones=workspace.journal,
        careful=careful,
        adopted=adopted,
        originals=originals_of(workspace, built.name) if adopted else None,
    )
    with workspace.remembering(encoder) as remembering:
        return converge(
            source,
            remembering,
            workspace.store,
            built.name,
            build=built.build,
            rev=job.rev if rev is None else rev,
            dead=dead,
            settings=workspace.settings.build,
            batch_size=_batch_size(workspace, encoder),
            allow_deletes=allow_deletes,
            guard=guard,
            crew=crew,
            progress=job.progress,
            pace=job.pace,
        )


def _batch_size(workspace: Workspace, encoder: Encoder) -> int:
    own = encoder.batch_size if isinstance(encoder, BulkEncoder) else 0
    return max(own, workspace.settings.embed.batch_size)
