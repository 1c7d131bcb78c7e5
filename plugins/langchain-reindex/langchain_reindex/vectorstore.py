"""`ReindexVectorStore`: what users of `QdrantVectorStore` expect, over versions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, Self

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from langchain_reindex.connected import default_target, open_connection
from langchain_reindex.documents import of_payload, of_results, own_id, to_stored
from langchain_reindex.embeddings import ReindexEmbeddings
from reindex import Connection, Embedded, Results
from reindex.connection.filters import condition_of

Scored = tuple[Document, float]

_BY_VECTOR = (
    "A vector does not say which version made it, and vectors of one version mean nothing among "
    "those of another: search by the text. To search by vectors all the same, embed with "
    "ReindexEmbeddings(model='v3') and search that version's physical collection with "
    "QdrantVectorStore."
)


class ReindexVectorStore(VectorStore):
    """The documents of a reindex project: searched by what is live, written to all that need it.

    Args:
        target: as `ReindexEmbeddings`' ``target``.
        api_key: the server's key; writing needs one.
        timeout: seconds that the server gets for an answer.
        annotate: put score and version into the metadata of what is found, as `ReindexRetriever`
            does. Off, metadata come back as they were written.
        content_key: the payload's field with the text, where it is no framework's layout.

    Example:
        .. code-block:: python

            store = ReindexVectorStore("http://localhost:8080")
            store.similarity_search("flatten a list", k=3, filter={"metadata.topic": "arrays"})
    """

    def __init__(
        self, target: Any = None, *, api_key: str | None = None, timeout: float = 30.0,
        annotate: bool = False, content_key: str | None = None,
    ) -> None:  # fmt: skip
        target = default_target() if target is None else target
        self._connection = open_connection(target, api_key, timeout)
        self._annotate, self._content_key = annotate, content_key

    @property
    def connection(self) -> Connection:
        """For whatever LangChain has no name for: feedback, status."""
        return self._connection

    @property
    def embeddings(self) -> Embeddings:
        """What is live now, as embeddings that stay with this version."""
        return ReindexEmbeddings(target=self._connection)

    # -- searching

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The best documents; as `similarity_search_with_score`."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: Any = None, offset: int = 0,
        score_threshold: float | None = None, key: str | None = None, **kwargs: Any,
    ) -> list[Scored]:  # fmt: skip
        """The best documents with their cosines, best first.

        Args:
            query: embedded by the version that is searched.
            k: how many.
            filter: conditions on the payload, by Qdrant's paths (``{"metadata.topic": "a"}``), or
                a ``qdrant_client`` ``Filter`` where it can be translated.
            offset: how many to skip.
            score_threshold: leave out what scores less.
            key: whom a canary shall treat the same every time: a user, a session.
        """
        _refuse(kwargs)
        found = self._connection.search(query, k + offset, where=condition_of(filter), key=key)
        return self._scored(found, offset, score_threshold)

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """As `similarity_search`."""
        found = await self.asimilarity_search_with_score(query, k, **kwargs)
        return [document for document, _ in found]

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, filter: Any = None, offset: int = 0,
        score_threshold: float | None = None, key: str | None = None, **kwargs: Any,
    ) -> list[Scored]:  # fmt: skip
        """As `similarity_search_with_score`."""
        _refuse(kwargs)
        where = condition_of(filter)
        found = await self._connection.asearch(query, k + offset, where=where, key=key)
        return self._scored(found, offset, score_threshold)

    def _scored(self, found: Results, offset: int, least: float | None) -> list[Scored]:
        documents = of_results(found, self._content_key, annotate=self._annotate)
        pairs = [(document, hit.score) for document, hit in zip(documents, found, strict=True)]
        return [pair for pair in pairs[offset:] if least is None or pair[1] >= least]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """A cosine from -1 to 1 as a relevance from 0 to 1, as `QdrantVectorStore` has it."""
        return lambda cosine: min(1.0, max(0.0, (cosine + 1.0) / 2.0))

    # -- maximal marginal relevance

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Documents that are like the query and unlike each other.

        The ``fetch_k`` best are embedded anew, by the version that found them: so their vectors
        and the query's lie in one space. ``lambda_mult``: 1 counts likeness to the query alone, 0
        difference alone.
        """
        found = self._connection.search(query, max(k, fetch_k), **_mmr(kwargs))
        documents = of_results(found, self._content_key, annotate=self._annotate)
        if not documents:
            return []
        version, texts = found.version, [item.page_content for item in documents]
        asked = self._connection.embed([query], kind="query", model=version)
        vectors = self._connection.embed(texts, kind="document", model=version)
        return _chosen(documents, asked, vectors, k, lambda_mult)

    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """As `max_marginal_relevance_search`."""
        found = await self._connection.asearch(query, max(k, fetch_k), **_mmr(kwargs))
        documents = of_results(found, self._content_key, annotate=self._annotate)
        if not documents:
            return []
        version, texts = found.version, [item.page_content for item in documents]
        asked = await self._connection.aembed([query], kind="query", model=version)
        vectors = await self._connection.aembed(texts, kind="document", model=version)
        return _chosen(documents, asked, vectors, k, lambda_mult)

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> NoReturn:
        """Refused: a vector does not say which version made it."""
        raise NotImplementedError(_BY_VECTOR)

    def max_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> NoReturn:  # fmt: skip
        """Refused: a vector does not say which version made it."""
        raise NotImplementedError(_BY_VECTOR)

    # -- reading and writing

    def get_by_ids(self, ids: Sequence[str | int], /) -> list[Document]:
        """Those of these documents that are there."""
        found = self._connection.fetch([own_id(id) for id in ids])
        return [of_payload(item.id, item.payload, self._content_key) for item in found]

    async def aget_by_ids(self, ids: Sequence[str | int], /) -> list[Document]:
        """As `get_by_ids`."""
        found = await self._connection.afetch([own_id(id) for id in ids])
        return [of_payload(item.id, item.payload, self._content_key) for item in found]

    def add_texts(
        self, texts: Iterable[str], metadatas: list[dict[str, Any]] | None = None, *,
        ids: Sequence[str | int | None] | None = None, **kwargs: Any,
    ) -> list[str]:  # fmt: skip
        """Insert texts, or overwrite those of the same id; returns the ids.

        Returns once they are in the journal and in what is live: no build and no flip loses them.
        The project's ``source.payload`` says how they are laid out: with ``langchain``, as
        `QdrantVectorStore` does.
        """
        known, stored = to_stored(texts, metadatas, ids)
        self._connection.upsert(stored)
        return known

    async def aadd_texts(
        self, texts: Iterable[str], metadatas: list[dict[str, Any]] | None = None, *,
        ids: Sequence[str | int | None] | None = None, **kwargs: Any,
    ) -> list[str]:  # fmt: skip
        """As `add_texts`."""
        known, stored = to_stored(texts, metadatas, ids)
        await self._connection.aupsert(stored)
        return known

    def delete(self, ids: Sequence[str | int] | None = None, **kwargs: Any) -> bool:
        """Delete documents by their ids; no matter whether they are there."""
        self._connection.delete([own_id(id) for id in _some(ids)])
        return True

    async def adelete(self, ids: Sequence[str | int] | None = None, **kwargs: Any) -> bool:
        """As `delete`."""
        await self._connection.adelete([own_id(id) for id in _some(ids)])
        return True

    @classmethod
    def from_texts(
        cls, texts: list[str], embedding: Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None, *,
        ids: list[str] | None = None, target: Any = None, **kwargs: Any,
    ) -> Self:  # fmt: skip
        """A store with these texts written. ``kwargs`` as the constructor's.

        ``embedding`` has to be None (or `ReindexEmbeddings`): the project embeds.
        """
        if embedding is not None and not isinstance(embedding, ReindexEmbeddings):
            raise ValueError(
                f"Expected no embedding, got {type(embedding).__name__}: texts are embedded by the "
                "project's versions. Pass embedding=None."
            )
        store = cls(target, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store


def _mmr(given: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in given.items() if name not in ("filter", "key")}
    _refuse(rest)
    return {"where": condition_of(given.get("filter")), "key": given.get("key")}


def _chosen(
    documents: list[Document], asked: Embedded, vectors: Embedded, k: int, lambda_mult: float
) -> list[Document]:
    rows = list(vectors.vectors)
    places = maximal_marginal_relevance(np.asarray(asked.vectors[0]), rows, lambda_mult, k)
    return [documents[place] for place in places]


def _refuse(given: dict[str, Any]) -> None:
    """What has no meaning here is no secret: an option that is skipped would be believed."""
    named = sorted(name for name, value in given.items() if value is not None)
    if named:
        raise TypeError(
            f"Got {', '.join(named)}, which a search here does not take: how a collection is "
            "searched is the project's to say (`reindex tune`)."
        )


def _some(ids: Sequence[str | int] | None) -> Sequence[str | int]:
    if ids is None:
        raise ValueError("Expected ids. Leaving them out does not delete everything here.")
    return ids
