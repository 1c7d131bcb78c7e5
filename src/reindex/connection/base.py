"""What can be asked of reindex, wherever it runs."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

from reindex.errors import FilterRefused, RequestRefused
from reindex.pages import DocumentPage
from reindex.records import Condition, Document, PointId, Vector
from reindex.retriever import Results
from reindex.writes import Ack, Given

Kind = Literal["query", "document"]


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """Unit vectors ``(n, d)`` float32, one per text, and the version whose space they lie in.

    Vectors of two versions must never be compared. Without texts it is ``(0, 0)``.
    """

    vectors: Vector
    version: str


class Connection(ABC):
    """Searches, embeds and writes. Thread-safe; the ``a…`` methods are for asyncio.

    Errors are the classes of `reindex.errors`, the same on every way. A pickled connection is
    opened anew where it is unpickled; the key goes with it.
    """

    @property
    @abstractmethod
    def target(self) -> str:
        """What `reindex.connect` finds it by: a URL, without a secret, or a project's folder."""

    # -- asked here

    def search(
        self, query: str, k: int = 10, *, where: Condition | None = None, key: str | None = None
    ) -> Results:
        """The ``k`` best documents, and the version that answered.

        Args:
            where: conditions on the payload, see `reindex.records.Condition`.
            key: whom a canary shall treat the same every time: a user, a session.
        """
        return self.search_many([query], k, where=where, key=key)[0]

    @abstractmethod
    def search_many(
        self, queries: Sequence[str], k: int = 10, *, where: Condition | None = None,
        key: str | None = None,
    ) -> list[Results]:  # fmt: skip
        """`search` for several queries, all answered for one key."""

    @abstractmethod
    def embed(
        self, texts: Sequence[str], *, kind: Kind, model: str | None = None,
        dimensions: int | None = None,
    ) -> Embedded:  # fmt: skip
        """Embed texts, all by one version.

        Args:
            kind: which of the model's prompts is put before the text.
            model: a version's name or the alias; None: what is live.
            dimensions: so many first dimensions, renormalised (Matryoshka).

        Raises:
            RequestRefused: a text is empty; there are fewer dimensions. UnknownVersion.
        """

    @abstractmethod
    def find(self, where: Condition, limit: int = 1000) -> list[int | str]:
        """Ids of live documents that fulfil ``where``, at most so many, in no order of meaning.

        Exact, and no search that is recorded. For more than ``limit``, delete what was found and
        ask again.
        """

    @abstractmethod
    def upsert(self, documents: Given | Iterable[Given]) -> list[Ack]:
        """Insert documents or overwrite those of the same id, as `Indexer.upsert` does.

        Over HTTP, what does not fit into one request goes in several: each is written as a whole
        or not at all.
        """

    @abstractmethod
    def delete(self, ids: int | str | Iterable[int | str]) -> list[Ack]:
        """Delete documents by their own ids; no matter whether they are there."""

    @abstractmethod
    def fetch(self, ids: Iterable[int | str]) -> list[Document]:
        """Those of these documents that are live, by their own ids, in the order asked."""

    @abstractmethod
    def page(self, start: PointId | None = None, limit: int = 500) -> DocumentPage:
        """The live documents from ``start`` on (None: from the first), at most ``limit``.

        In the order of their points; there is no snapshot.
        """

    @abstractmethod
    def count(self) -> int:
        """How many documents are live."""

    @abstractmethod
    def feedback(
        self, search: Results | str, *, clicked: Iterable[int | str] = (),
        used: Iterable[int | str] = (), grade: float | None = None,
    ) -> None:  # fmt: skip
        """What became of a search; see `RollingRetriever.feedback`."""

    @abstractmethod
    def status(self) -> dict[str, Any]:
        """What is live, what is built, what runs: `reindex status --json`."""

    @abstractmethod
    def comparisons(self, version: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
        """What comparisons said, the newest first; of one candidate, if named."""

    @abstractmethod
    def close(self) -> None:
        """Hang up."""

    # -- the same for asyncio: in another thread, unless a way has one of its own

    async def asearch(
        self, query: str, k: int = 10, *, where: Condition | None = None, key: str | None = None
    ) -> Results:
        """As `search`."""
        return (await self.asearch_many([query], k, where=where, key=key))[0]

    async def asearch_many(
        self, queries: Sequence[str], k: int = 10, *, where: Condition | None = None,
        key: str | None = None,
    ) -> list[Results]:  # fmt: skip
        """As `search_many`."""
        return await asyncio.to_thread(self.search_many, queries, k, where=where, key=key)

    async def aembed(
        self, texts: Sequence[str], *, kind: Kind, model: str | None = None,
        dimensions: int | None = None,
    ) -> Embedded:  # fmt: skip
        """As `embed`."""
        return await asyncio.to_thread(
            self.embed, texts, kind=kind, model=model, dimensions=dimensions
        )

    async def afind(self, where: Condition, limit: int = 1000) -> list[int | str]:
        """As `find`."""
        return await asyncio.to_thread(self.find, where, limit)

    async def aupsert(self, documents: Given | Iterable[Given]) -> list[Ack]:
        """As `upsert`."""
        return await asyncio.to_thread(self.upsert, documents)

    async def adelete(self, ids: int | str | Iterable[int | str]) -> list[Ack]:
        """As `delete`."""
        return await asyncio.to_thread(self.delete, ids)

    async def afetch(self, ids: Iterable[int | str]) -> list[Document]:
        """As `fetch`."""
        return await asyncio.to_thread(self.fetch, ids)

    async def apage(self, start: PointId | None = None, limit: int = 500) -> DocumentPage:
        """As `page`."""
        return await asyncio.to_thread(self.page, start, limit)

    async def acount(self) -> int:
        """As `count`."""
        return await asyncio.to_thread(self.count)

    async def afeedback(
        self, search: Results | str, *, clicked: Iterable[int | str] = (),
        used: Iterable[int | str] = (), grade: float | None = None,
    ) -> None:  # fmt: skip
        """As `feedback`."""
        await asyncio.to_thread(self.feedback, search, clicked=clicked, used=used, grade=grade)

    async def astatus(self) -> dict[str, Any]:
        """As `status`."""
        return await asyncio.to_thread(self.status)

    async def acomparisons(
        self, version: str | None = None, limit: int = 20
    ) -> list[dict[str, Any]]:
        """As `comparisons`."""
        return await asyncio.to_thread(self.comparisons, version, limit)

    async def aclose(self) -> None:
        """As `close`."""
        await asyncio.to_thread(self.close)

    # -- a context manager

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def check_embedding(texts: Sequence[str], kind: str, dimensions: int | None) -> None:
    """What no way embeds. Raises RequestRefused."""
    if isinstance(texts, str):
        raise RequestRefused("Expected a list of texts, got one text. Put it in a list.")
    if not all(isinstance(text, str) and text for text in texts):
        raise RequestRefused("Expected a list of texts, none empty.")
    if kind not in ("query", "document"):
        raise RequestRefused(f"Expected the kind 'query' or 'document', got {kind!r}.")
    if dimensions is not None and dimensions < 1:
        raise RequestRefused(f"Expected at least one dimension, got {dimensions}.")


def check_queries(queries: Sequence[str], k: int) -> None:
    """What no way searches for. Raises RequestRefused."""
    if isinstance(queries, str):
        raise RequestRefused("Expected a list of queries, got one text. Put it in a list.")
    if k < 1 or not all(isinstance(query, str) and query for query in queries):
        raise RequestRefused(f"Expected k of at least 1 and queries, none empty; got k = {k}.")


def plain_where(where: Condition | None) -> Mapping[str, Any] | None:
    """A condition with lists where it has tuples or sets. Raises FilterRefused: it is none."""
    if where is None:
        return None
    if not isinstance(where, Mapping):
        raise FilterRefused(
            f"filter: cannot use {where!r} as a condition. Expected a mapping: field -> value."
        )
    return {field: _plain(value) for field, value in where.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return plain_where(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value
