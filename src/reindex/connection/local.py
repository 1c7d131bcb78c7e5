"""A connection to a project on this host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reindex.connection.base import Connection, Embedded, Kind, check_embedding, check_queries
from reindex.pages import DocumentPage
from reindex.plain import to_plain
from reindex.project import Project
from reindex.records import Condition, Document, PointId
from reindex.retriever import Results
from reindex.stages import fetching
from reindex.stages.embedding import Encoders, vectors_of
from reindex.stages.upkeep import newest_comparisons
from reindex.writes import Ack, Given, as_ids


class LocalConnection(Connection):
    """Asks a project; see `reindex.connect`. For asyncio, in other threads."""

    def __init__(self, project: Project, *, owned: bool = False) -> None:
        """``owned``: closing the connection closes the project."""
        self._project, self._owned = project, owned
        self._encoders = Encoders(project)

    @classmethod
    def open(cls, path: Path) -> LocalConnection:
        """Of the project at ``path``: its folder or its reindex.toml."""
        return cls(Project.open(path), owned=True)

    def __repr__(self) -> str:
        return f"LocalConnection({self.target!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return LocalConnection.open, (Path(self.target),)

    @property
    def target(self) -> str:
        """As `Connection.target`."""
        return str(self._project.settings.root)

    # -- asked here

    def search_many(
        self, queries: Sequence[str], k: int = 10, *, where: Condition | None = None,
        key: str | None = None,
    ) -> list[Results]:  # fmt: skip
        """As `Connection.search_many`."""
        check_queries(queries, k)
        if not queries:
            return []
        return self._project.retriever().search_many(queries, k, where=where, key=key)

    def embed(
        self, texts: Sequence[str], *, kind: Kind, model: str | None = None,
        dimensions: int | None = None,
    ) -> Embedded:  # fmt: skip
        """As `Connection.embed`."""
        check_embedding(texts, kind, dimensions)
        if not texts:
            return Embedded(np.zeros((0, 0), np.float32), model or "")
        version, encoder = self._encoders.find(model)
        return Embedded(vectors_of(texts, version, encoder, kind, dimensions), version)

    def find(self, where: Condition, limit: int = 1000) -> list[int | str]:
        """As `Connection.find`."""
        return fetching.find(self._project, where, limit)

    def upsert(self, documents: Given | Iterable[Given]) -> list[Ack]:
        """As `Connection.upsert`."""
        return self._project.indexer().upsert(documents)

    def delete(self, ids: int | str | Iterable[int | str]) -> list[Ack]:
        """As `Connection.delete`."""
        return self._project.indexer().delete(ids)

    def fetch(self, ids: Iterable[int | str]) -> list[Document]:
        """As `Connection.fetch`."""
        return fetching.fetch(self._project, as_ids(ids))

    def page(self, start: PointId | None = None, limit: int = 500) -> DocumentPage:
        """As `Connection.page`."""
        return fetching.page(self._project, start, limit)

    def count(self) -> int:
        """As `Connection.count`."""
        return fetching.count(self._project)

    def feedback(
        self, search: Results | str, *, clicked: Iterable[int | str] = (),
        used: Iterable[int | str] = (), grade: float | None = None,
    ) -> None:  # fmt: skip
        """As `Connection.feedback`."""
        self._project.retriever().feedback(search, clicked=clicked, used=used, grade=grade)

    def status(self) -> dict[str, Any]:
        """As `Connection.status`."""
        found: dict[str, Any] = to_plain(self._project.status())
        return found

    def comparisons(self, version: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
        """As `Connection.comparisons`."""
        found: list[dict[str, Any]] = to_plain(newest_comparisons(self._project, version, limit))
        return found

    def close(self) -> None:
        """Close the project, where this connection opened it."""
        if self._owned:
            self._project.close()
