"""A connection that searches without a registry: a Qdrant server and an address of artifacts."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_args
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import numpy as np

from reindex.config import QdrantSettings, SourceSettings
from reindex.connection.base import Connection, Embedded, Kind, check_embedding, check_queries
from reindex.corpus.frameworks import stored_text
from reindex.errors import ConfigError, UnknownVersion, WriteRefused
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
    url: str | QdrantSettings, alias: str, *, artifacts: str, cache: str | Path | None = None,
    api_key: str | None = None, threads: int | None = None, lease_ttl: float = 1.0,
    source: SourceSettings | None = None,
) -> SearchingConnection:  # fmt: skip
    """Search what ``alias`` points at on a Qdrant server, with nothing else of the project here.

    Nothing is loaded before the first search, or `SearchingConnection.warm`.

    Args:
        url: the Qdrant server's; or its settings, for time-outs, gRPC and the like.
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
    source = source or SourceSettings()
    if isinstance(url, str):
        url = QdrantSettings(url=url, prefer_grpc=False)
    store = connect(url, api_key or os.environ.get(url.api_key_env) or None)
    searcher = Searcher(store, alias, shelf, threads=threads, lease_ttl=lease_ttl)
    target = _target(url.url, alias, artifacts, cache, source)
    connection = SearchingConnection(searcher, target, source)
    connection.at_close(store.close)
    return connection


SCHEME = "qdrant+"
_ASKED = ("artifacts", "cache", "payload")


def searcher_at(target: str, *, api_key: str | None, timeout: float) -> SearchingConnection:
    """`open_searcher` by one text: ``qdrant+http://HOST:6333/ALIAS?artifacts=ADDRESS``.

    Behind it may stand ``&cache=FOLDER`` and ``&payload=haystack`` (the project's
    ``source.payload``). The key never stands in it.

    Raises:
        ConfigError: a part is missing, not known, or a password; and as `open_searcher`.
    """
    url = urlsplit(target.removeprefix(SCHEME))
    given = dict(parse_qsl(url.query, keep_blank_values=True))
    path, _, alias = url.path.rstrip("/").rpartition("/")
    if url.scheme not in ("http", "https") or not alias or not given.get("artifacts"):
        raise ConfigError(
            f"Expected qdrant+http://HOST:6333/ALIAS?artifacts=ADDRESS, got {_place(target)}."
        )
    if url.username or url.password or set(given) - set(_ASKED):
        raise ConfigError(
            f"{_place(target)}: expected no credentials (the key comes as api_key or from "
            f"QDRANT_API_KEY), and of {', '.join(_ASKED)} behind the question mark."
        )
    payload = given.get("payload", "plain")
    if payload not in get_args(SourceSettings.model_fields["payload"].annotation):
        raise ConfigError(f"{_place(target)}: expected the payload of a project's [source].")
    server = QdrantSettings(
        url=f"{url.scheme}://{url.netloc}{path}", prefer_grpc=False, timeout=math.ceil(timeout)
    )
    return open_searcher(
        server, unquote(alias), artifacts=given["artifacts"],
        cache=given.get("cache"), api_key=api_key,
        source=SourceSettings.model_validate({"payload": payload}),
    )  # fmt: skip


def _target(
    url: str, alias: str, artifacts: str, cache: str | Path | None, source: SourceSettings
) -> str:
    given = {"artifacts": artifacts, "cache": cache and str(cache), "payload": source.payload}
    asked = {name: value for name, value in given.items() if value and value != "plain"}
    return f"{SCHEME}{_shown(url).rstrip('/')}/{quote(alias, safe='')}?{urlencode(asked)}"


def _shown(url: str) -> str:
    """Without what stands before the @ of its host."""
    found = urlsplit(url)
    return found._replace(netloc=found.netloc.rpartition("@")[2]).geturl()


def _place(target: str) -> str:
    """For errors: without what may be a secret."""
    return _shown(target).partition("?")[0]


class SearchingConnection(Connection):
    """Searches and embeds; whatever would write is refused. See `open_searcher`."""

    def __init__(self, searcher: Searcher, target: str, source: SourceSettings) -> None:
        self.searcher, self._target, self._source = searcher, target, source
        self._text_of = stored_text(source)
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
        """As `Connection.target`."""
        return self._target

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
        """What serves here: `Searcher.standing`; and how payloads are laid out."""
        source = self._source
        layout = {"kind": source.kind, "payload": source.payload}
        return {
            **self.searcher.standing(),
            "source": {**layout, "text_fields": list(source.text_fields)},
        }

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
