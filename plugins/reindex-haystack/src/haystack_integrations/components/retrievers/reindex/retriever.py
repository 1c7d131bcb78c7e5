"""`ReindexRetriever`: from the query's text to documents, by one version."""

from __future__ import annotations

from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.document_stores.types import FilterPolicy
from haystack.document_stores.types.filter_policy import apply_filter_policy

from haystack_integrations.document_stores.reindex import ReindexDocumentStore
from haystack_integrations.document_stores.reindex.converters import to_document
from reindex.records import Hit
from reindex.retriever import Results


@component
class ReindexRetriever:
    """Retrieves the documents nearest to a query, which is embedded by the version that is live.

    It takes the query's text, not its vector: between an embedder and a retriever another version
    could go live, and a vector of the one means nothing among vectors of the other.

    ```python
    from haystack_integrations.components.retrievers.reindex import ReindexRetriever
    from haystack_integrations.document_stores.reindex import ReindexDocumentStore

    retriever = ReindexRetriever(ReindexDocumentStore("http://localhost:8080"), top_k=3)
    found = retriever.run("flatten a nested list")
    print(found["meta"]["version"], [document.content for document in found["documents"]])
    ```
    """

    def __init__(
        self,
        document_store: ReindexDocumentStore,
        *,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
        scale_score: bool = False,
        score_threshold: float | None = None,
    ) -> None:
        """Nothing is asked of reindex yet.

        :param document_store: Where to search.
        :param filters: Filters to narrow the search down by.
        :param top_k: The maximum number of documents.
        :param filter_policy: What becomes of these filters where others come at run time.
        :param scale_score: Whether to turn the cosine into a score from 0 to 1.
        :param score_threshold: Leave out documents with a score below this.
        """
        if not isinstance(document_store, ReindexDocumentStore):
            raise ValueError(
                "Expected document_store as a ReindexDocumentStore, got "
                f"{type(document_store).__name__}."
            )
        self.document_store = document_store
        self.filters = filters
        self.top_k = _positive(top_k)
        self.filter_policy = (
            filter_policy
            if isinstance(filter_policy, FilterPolicy)
            else FilterPolicy.from_str(filter_policy)
        )
        self.scale_score = scale_score
        self.score_threshold = score_threshold
        self._warm = False

    def to_dict(self) -> dict[str, Any]:
        """Serializes the component to a dictionary."""
        return default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            filter_policy=self.filter_policy.value,
            scale_score=self.scale_score,
            score_threshold=self.score_threshold,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ReindexRetriever:
        """Deserializes the component from a dictionary."""
        parameters = dict(data.get("init_parameters", {}))
        store = parameters.get("document_store")
        if isinstance(store, dict):
            parameters["document_store"] = ReindexDocumentStore.from_dict(store)
        made: ReindexRetriever = default_from_dict(cls, {**data, "init_parameters": parameters})
        return made

    def warm_up(self) -> None:
        """Embeds a word: a wrong address is told now, and the model is loaded."""
        if not self._warm:
            self.document_store.connection.embed(["warm"], kind="query")
            self._warm = True

    async def warm_up_async(self) -> None:
        """As `warm_up`."""
        if not self._warm:
            await self.document_store.connection.aembed(["warm"], kind="query")
            self._warm = True

    def close(self) -> None:
        """Release the document store's connection."""
        self.document_store.close()

    async def close_async(self) -> None:
        """As `close`."""
        await self.document_store.close_async()

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    def run(
        self,
        query: str,
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        scale_score: bool | None = None,
        score_threshold: float | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        """Searches what is live.

        :param query: The query's text.
        :param filters: Filters to narrow the search down by.
        :param top_k: The maximum number of documents.
        :param scale_score: Whether to turn the cosine into a score from 0 to 1.
        :param score_threshold: Leave out documents with a score below this.
        :param key: Whom a canary treats the same every time: a user, a session.
        :returns: A dictionary with
            - `documents`: the documents, best first, with their scores;
            - `meta`: the `version` that answered, its `collection`, the `search_id` that feedback
              refers to, and the `ids` by which reindex knows the documents, in their order.
        :raises FilterError: If a search cannot filter so.
        """
        k, where = _positive(self.top_k if top_k is None else top_k), self._where(filters)
        found = self.document_store.connection.search(_text(query), k, where=where, key=key)
        return self._answer(found, scale_score, score_threshold)

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    async def run_async(
        self,
        query: str,
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        scale_score: bool | None = None,
        score_threshold: float | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        """As `run`, for asyncio."""
        k = _positive(self.top_k if top_k is None else top_k)
        where = await self._where_async(filters)
        connection = self.document_store.connection
        found = await connection.asearch(_text(query), k, where=where, key=key)
        return self._answer(found, scale_score, score_threshold)

    def _filters(self, given: dict[str, Any] | None) -> dict[str, Any] | None:
        return apply_filter_policy(self.filter_policy, self.filters, given)

    def _where(self, given: dict[str, Any] | None) -> dict[str, Any] | None:
        return self.document_store.where(self._filters(given))

    async def _where_async(self, given: dict[str, Any] | None) -> dict[str, Any] | None:
        return await self.document_store.where_async(self._filters(given))

    def _answer(
        self, found: Results, scale: bool | None, threshold: float | None
    ) -> dict[str, Any]:
        scale = self.scale_score if scale is None else scale
        threshold = self.score_threshold if threshold is None else threshold
        scored = [(hit, _score(hit, scale)) for hit in found]
        kept = [(hit, score) for hit, score in scored if threshold is None or score >= threshold]
        meta = {
            "version": found.version,
            "collection": found.collection,
            "side": found.side,
            "search_id": found.search_id,
            "ids": [hit.id for hit, _ in kept],
        }
        documents = [to_document(hit.id, hit.payload, score) for hit, score in kept]
        return {"documents": documents, "meta": meta}


def _score(hit: Hit, scale: bool) -> float:
    """The cosine, or that from 0 to 1 as Haystack's stores scale it."""
    return (hit.score + 1) / 2 if scale else hit.score


def _positive(top_k: Any) -> int:
    if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
        raise ValueError(f"Expected top_k as a number of at least 1, got {top_k!r}.")
    return top_k


def _text(query: Any) -> str:
    if not isinstance(query, str) or not query.strip():
        raise ValueError(
            f"Expected the query's text, got {query!r}. ReindexRetriever embeds it itself: connect "
            "the text to it, not an embedder."
        )
    return query
