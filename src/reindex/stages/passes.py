"""What a collection must agree with while it may be written to: one pass over each source.

Beside the configured source that is, for files and tables, whatever single writes and other
clients put into the live collection: it lives nowhere else.
"""

from __future__ import annotations

from reindex.build import BuildReport, Guard, converge
from reindex.corpus.collection import CollectionSource
from reindex.corpus.frameworks import stored_text
from reindex.indexing.apply import replay
from reindex.protocols import BulkEncoder, DeadLetterSink, DocumentSource, Encoder
from reindex.records import INDEXER_SOURCE, Stamp
from reindex.registry.ledger import BuiltCollection
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
    new = all(item.collection != collection for item in workspace.journal.targets())
    workspace.journal.publish(collection, "candidate")
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
    built = workspace.registry.collection(live)
    others = built is not None and built.source == workspace.source.name

    def belongs(stamp: Stamp | None) -> bool:
        return others if stamp is None else stamp.source == INDEXER_SOURCE

    return CollectionSource(
        workspace.store, live, name=INDEXER_SOURCE, text_of=stored_text(settings), belongs=belongs
    )


def sources_of(workspace: Workspace, collection: str) -> list[DocumentSource]:
    """Everything that a build makes a collection equal to, in this order."""
    live = workspace.live_collection()
    beside = None if live in (None, collection) else beside_files(workspace, str(live))
    return [workspace.source] if beside is None else [beside, workspace.source]


def one_pass(
    workspace: Workspace,
    source: DocumentSource,
    encoder: Encoder,
    built: BuiltCollection,
    *,
    job: Job,
    dead: DeadLetterSink,
    allow_deletes: bool = False,
    cutoff: int | None = None,
) -> BuildReport:
    """Converge a collection with one source, minding single writes.

    ``cutoff``: the collection is live since that rev, so all that is newer, or not as we wrote it,
    stays.
    """
    with workspace.remembering(encoder) as remembering:
        return converge(
            source,
            remembering,
            workspace.store,
            built.name,
            build=built.build,
            rev=job.rev if cutoff is None else cutoff,
            dead=dead,
            settings=workspace.settings.build,
            batch_size=_batch_size(workspace, encoder),
            allow_deletes=allow_deletes,
            guard=Guard(tombstones=workspace.journal, careful=cutoff is not None),
            progress=job.progress,
            pace=job.pace,
        )


def _batch_size(workspace: Workspace, encoder: Encoder) -> int:
    own = encoder.batch_size if isinstance(encoder, BulkEncoder) else 0
    return max(own, workspace.settings.embed.batch_size)
