"""Embedding with what is live, or with a version by name."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Literal

from reindex.encoder import truncate
from reindex.errors import CollectionNotFound, RequestRefused
from reindex.protocols import Encoder
from reindex.records import Vector
from reindex.stages.searching import open_retriever
from reindex.workspace import Workspace


class Encoders:
    """The encoders of a project, loaded once and kept. Thread-safe."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._encoders: dict[str, Encoder] = {}
        self._loading = threading.Lock()

    def find(self, name: str | None = None) -> tuple[str, Encoder]:
        """(version, its encoder) for an alias or a version's name; the alias or None: live.

        Raises:
            UnknownVersion: there is no such version. ArtifactError: it is not exported.
            CollectionNotFound: the alias points at nothing.
        """
        if name is None or name == self._workspace.settings.alias:
            return self._live()
        return name, self._kept(name)

    def _live(self) -> tuple[str, Encoder]:
        """The pair that searches use; where the owner searches, another encoder of its version."""
        if self._workspace.other_owner() is None:
            lease = open_retriever(self._workspace).lease()
            return lease.version, lease.encoder
        live = self._workspace.live_version()
        if live is None:
            alias = self._workspace.settings.alias
            raise CollectionNotFound(f"The alias {alias!r} points at no version of this project.")
        return live.name, self._kept(live.name)

    def _kept(self, name: str) -> Encoder:
        version = self._workspace.registry.version(name)
        with self._loading:
            if name not in self._encoders:
                self._encoders[name] = self._workspace.encoder(version)
            return self._encoders[name]


def vectors_of(
    texts: Sequence[str], version: str, encoder: Encoder, kind: Literal["query", "document"],
    dimensions: int | None,
) -> Vector:  # fmt: skip
    """Unit vectors ``(n, d)`` of texts; ``dimensions``: so many first ones, renormalised.

    Raises:
        RequestRefused: ``version`` has fewer dimensions.
    """
    if dimensions is not None and dimensions > encoder.dim:
        raise RequestRefused(f"dimensions = {dimensions}, but {version} has {encoder.dim}.")
    encode = encoder.encode_queries if kind == "query" else encoder.encode_documents
    vectors = encode(list(texts))
    return truncate(vectors, dimensions) if dimensions else vectors
