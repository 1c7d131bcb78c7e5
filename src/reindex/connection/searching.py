"""A connection that searches without a registry: a Qdrant server and an address of artifacts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from reindex.config import QdrantSettings, SourceSettings
from reindex.connection.base import Connection, Embedded, Kind, check_embedding, check_queries
from reindex.corpus.frameworks import StoredText, stored_text
from reindex.errors import UnknownVersion, WriteRefused
from reindex.pages import DocumentPage
from reindex.records import Condition, Document, PointId
from reindex.retriever import Results
from reindex.searcher import Searcher
from reindex.stages.embedding import vectors_of
from reindex.stages.fetching import fetch_in, find_in, page_in
from reindex.stores.server_client import connect
from reindex.transport.shelf import Shelf, default_cache
from reindex.writes import Ack, Given


def open_searcher(
    url: str, alias: str, *, artifacts: str, cache: str | Path | None = None,
    api_key: str | None = None, threads: int | None = None, lease_ttl: float = 1.0,
    source: SourceSettings | None = None,
) -> SearchingConnection:  # fmt: skip
    """Search what ``alias`` points at on a Qdrant server, with nothing else of the project here.

    Nothing is loaded before the first search, or `SearchingConnection.warm`.

    Args:
        url: the Qdrant server's.
        alias: the project's; what it points at is searched, also after a flip.
        artifacts: an address that versions were pushed to (`reindex push v2 ADDRESS/v2`), or that
            of one artifact.
        cache: the folder for what was fetched; None: in the user's cache folder.
        api_key: the Qdrant server's; a read-only one suffices. None: the environment's
            ``QDRANT_API_KEY``.
        threads: texts that are embedded at the same time; None: all cores.
        lease_ttl: seconds after which the alias is read again, in the background.
        source: the project's ``[source]``, for where payloads hold their texts; None: as a new
            project says.

    Raises:
        ConfigError: ``artifacts`` is no address. StoreError: the server does not answer.
        MissingExtra: object storage needs the extra [push].
    """
    shelf = Shelf(artifacts, Path(cache).expanduser() if cache else default_cache())
    settings = QdrantSettings(url=url, prefer_grpc=False)
    store = connect(settings, api_key or os.environ.get(settings.api_key_env) or None)
    searcher = Searcher(store, alias, shelf, threads=threads, lease_ttl=lease_ttl)
    connection = SearchingConnection(searcher, url, stored_text(source or SourceSettings()))
    connection.at_close(store.close)
    return connection


class SearchingConnection(Connection):
    """Searches and embeds; whatever would write is refused. See `open_searcher`."""

    def __init__(self, searcher: Searcher, url: str, text_of: StoredText) -> None:
        self.searcher, self._url, self._text_of = searcher, url, text_of
        self._hang_up: Callable[[], None] = lambda: None

    def at_close(self, hang_up: Callable[[], None]) -> None:
        """Call ``hang_up`` when this connection is closed."""
        self._hang_up = hang_up

    def __repr__(self) -> str:
        return f"SearchingConnection({self.target!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "A searching connection is not pickled: it has a Qdrant key. Call "
            "reindex.open_searcher where it is needed."
        )

    @property
    def target(self) -> str:
        """The server and the alias; not what `reindex.connect` takes."""
        return f"{self._url.rpartition('@')[2]} {self.searcher.alias}"

    def warm(self) -> None:
        """Fetch and load what is live now, instead of at the first search."""
        self.searcher.lease()

    # -- asked here

    def search_many(
        self, queries: Sequence[str], k: int = 10, *, where: Condition | None = None,
        key: str | None = None,  # noqa: ARG002
    ) -> list[Results]:  # fmt: skip
        """As `Connection.search_many`. No canary is seen from here, so ``key`` changes nothing."""
        check_queries(queries, k)
        return self.searcher.search_many(queries, k, where=where) if queries else []

    def embed(
        self, texts: Sequence[str], *, kind: Kind, model: str | None = None,
        dimensions: int | None = None,
    ) -> Embedded:  # fmt: skip
        """As `Connection.embed`, by what is live alone."""
        check_embedding(texts, kind, dimensions)
        lease = self.searcher.lease()
        if model not in (None, lease.version, self.searcher.alias):
            raise UnknownVersion(
                f"This host embeds by what is live, {lease.version}, not by {model!r}. Ask a "
                "`reindex serve`, which has every version."
            )
        if not texts:
            return Embedded(np.zeros((0, 0), np.float32), lease.version)
        vectors = vectors_of(texts, lease.version, lease.encoder, kind, dimensions)
        return Embedded(vectors, lease.version)

    def find(self, where: Condition, limit: int = 1000) -> list[int | str]:
        """As `Connection.find`."""
        return find_in(self.searcher.store, self._live(), where, limit)

    def fetch(self, ids: Iterable[int | str]) -> list[Document]:
        """As `Connection.fetch`."""
        return fetch_in(self.searcher.store, self._live(), ids, self._text_of)

    def page(self, start: PointId | None = None, limit: int = 500) -> DocumentPage:
        """As `Connection.page`."""
        return page_in(self.searcher.store, self._live(), start, limit, self._text_of)

    def count(self) -> int:
        """As `Connection.count`."""
        return self.searcher.store.count(self._live())

    def _live(self) -> str:
        return self.searcher.lease().collection

    def upsert(self, documents: Given | Iterable[Given]) -> list[Ack]:  # noqa: ARG002
        """Refused."""
        self._refuse("write documents")

    def delete(self, ids: int | str | Iterable[int | str]) -> list[Ack]:  # noqa: ARG002
        """Refused."""
        self._refuse("delete documents")

    def feedback(
        self, search: Results | str, *, clicked: Iterable[int | str] = (),  # noqa: ARG002
        used: Iterable[int | str] = (), grade: float | None = None,  # noqa: ARG002
    ) -> None:  # fmt: skip
        """Refused: what was searched for here is not recorded."""
        self._refuse("take feedback")

    def status(self) -> dict[str, Any]:
        """What serves here: `Searcher.standing`."""
        return self.searcher.standing()

    def comparisons(
        self, version: str | None = None, limit: int = 20  # noqa: ARG002
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Refused."""
        self._refuse("tell of comparisons")

    def close(self) -> None:
        """Hang up."""
        self._hang_up()

    def _refuse(self, what: str) -> NoReturn:
        raise WriteRefused(
            f"A searching host cannot {what}: that goes through the project's registry and "
            "journal, so that no build or flip loses it. Connect to the project's server for it: "
            'reindex.connect("http://…"), a `reindex serve`.'
        )
