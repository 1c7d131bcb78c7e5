"""Points that other clients wrote into a collection of ours: counted, and taken in.

A plain client writes its own vector, without a stamp and without the prefix: two-stage search does
not see such points, and nobody knows which model they are of. Taken in, a point has its text's
vector by the collection's own encoder, and is a single write's from then on: no pass over files
or tables deletes it.
"""

from __future__ import annotations

from dataclasses import asdict

from reindex.build import BuildReport
from reindex.errors import StoreError
from reindex.registry.ledger import BuiltCollection
from reindex.stages.passes import beside_files, one_pass
from reindex.stages.supervision import collection_lock, supervised
from reindex.workspace import Workspace


def other_writers(workspace: Workspace, collection: str | None) -> int | None:
    """Points without a stamp in a collection that was built from files or tables.

    None where nobody else can write (an embedded store), where all points are like that (a
    collection that was taken over, or is the source), or where it cannot be told.
    """
    if collection is None or workspace.store.local or not _built_from_source(workspace, collection):
        return None
    try:
        return workspace.store.count(collection, unstamped=True)
    except StoreError:
        return None


def _built_from_source(workspace: Workspace, collection: str) -> bool:
    if workspace.settings.source.kind == "collection":
        return False
    built = workspace.registry.collection(collection)
    return built is not None and built.source == workspace.source.name


def repair(workspace: Workspace, built: BuiltCollection) -> BuildReport | None:
    """Take in what other clients wrote; None where the collection was not built from the source.

    Points without a text by the payload's preset are dead letters. To be run after a pass over
    the source, which takes in those points that are its own documents.

    Raises:
        Locked: another run works on the collection.
    """
    source = beside_files(workspace, built.name)
    if source is None or not _built_from_source(workspace, built.name):
        return None
    version = workspace.registry.version(built.version)
    lock = collection_lock(built.name)
    with supervised(workspace, "repair", version.name, locks=[lock]) as job:
        with workspace.dead_letters(f"repair-{job.id}") as dead:
            report = one_pass(
                workspace, source, workspace.encoder(version), built, job=job, dead=dead
            )
        job.details.update(asdict(report), dead_letters=dead.summary())
        workspace.registry.count_writes(built.name, report.updated + report.payload_only)
    return report
