"""The search side of a project: retrievers, here or through the process that owns the store."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from reindex.errors import ArtifactError, CollectionNotFound
from reindex.owner.jobs import job
from reindex.records import Condition
from reindex.registry.canaries import Canaries, Canary
from reindex.registry.ledger import DEFAULT_OVERSAMPLING
from reindex.registry.serving_plans import SearchSettings, ServingPlans
from reindex.retriever import Results, Serving
from reindex.rollout.retriever import RollingRetriever
from reindex.workspace import Workspace

_OPENING = threading.Lock()


def open_retriever(workspace: Workspace, version: str | None = None) -> RollingRetriever:
    """A retriever over what is live, or over one version's collection; one of each is kept."""
    with _OPENING:
        if version not in workspace.retrievers:
            workspace.retrievers[version] = _new_retriever(workspace, version)
        return workspace.retrievers[version]


def _new_retriever(workspace: Workspace, version: str | None) -> RollingRetriever:
    fixed = None
    if version is not None:
        fixed = workspace.collection_of(workspace.registry.version(version).name)

    def resolve() -> str:
        return fixed or what_is_live(workspace)

    def load(collection: str, metadata: Mapping[str, Any]) -> Serving:
        return _load(workspace, collection, metadata)

    def canary() -> Canary | None:
        return Canaries(workspace.registry).running(workspace.settings.alias)

    ttl = workspace.settings.serving.lease_ttl
    if fixed is not None:  # whoever asks for a version gets it, and counts for no experiment
        return RollingRetriever(workspace.store, resolve, load, lease_ttl=ttl)
    return RollingRetriever(
        workspace.store, resolve, load, lease_ttl=ttl, canary=canary, recorder=workspace.recorder
    )


def what_is_live(workspace: Workspace) -> str:
    """The collection that the alias points at.

    Raises:
        CollectionNotFound: it points at nothing.
    """
    live = workspace.live_collection()
    if live is None:
        raise CollectionNotFound(
            f"The alias {workspace.settings.alias!r} points at nothing yet. "
            "Promote a first version: reindex promote v1"
        )
    return live


def _load(workspace: Workspace, collection: str, metadata: Mapping[str, Any]) -> Serving:
    """The encoder of the version that a collection's own metadata names."""
    name = metadata.get("version")
    if not isinstance(name, str):
        raise ArtifactError(
            f"{collection} does not say which version it belongs to, so no encoder can be "
            "chosen for it. Was it made by something else?"
        )
    lone = workspace.settings.serving.query_threads
    encoder = workspace.encoder(workspace.registry.version(name), lone_threads=lone)
    built = workspace.registry.collection(collection)
    how = SearchSettings(DEFAULT_OVERSAMPLING)
    if built is not None:
        how = ServingPlans(workspace.registry).settings_of(built)
    return Serving(
        encoder=encoder,
        oversampling=how.oversampling,
        hnsw_ef=how.hnsw_ef,
        certified=frozenset(encoder.manifest.certified_with(encoder.encoding)),
    )


@job("aside")
def settle(workspace: Workspace, version: str | None = None, timeout: float | None = None) -> None:
    """Notice a flip now, and wait until its pair is loaded: the next search is answered by it."""
    retriever = open_retriever(workspace, version)
    retriever.lease()
    retriever.wait_until_settled(timeout)


@job("aside")
def search(
    workspace: Workspace, queries: Sequence[str], k: int = 10, *, offset: int = 0,
    where: Condition | None = None, exact: bool = False, version: str | None = None,
    key: str | None = None,
) -> list[Results]:  # fmt: skip
    """`Retriever.search_many` as a job, over what is live or over one version's collection."""
    retriever = open_retriever(workspace, version)
    return retriever.search_many(queries, k, offset=offset, where=where, exact=exact, key=key)


@job("aside")
def feedback(
    workspace: Workspace, search: str, *, clicked: Sequence[int | str] = (),
    used: Sequence[int | str] = (), grade: float | None = None,
) -> None:  # fmt: skip
    """`RollingRetriever.feedback` as a job."""
    open_retriever(workspace).feedback(search, clicked=clicked, used=used, grade=grade)
