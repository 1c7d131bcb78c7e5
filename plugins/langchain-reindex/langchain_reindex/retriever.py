"""`ReindexRetriever`: what is live, with scores and the version that answered."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from langchain_reindex.connected import Connected
from langchain_reindex.documents import of_results
from reindex import Results
from reindex.connection.filters import condition_of


class ReindexRetriever(Connected, BaseRetriever):
    """Searches a reindex project. Sees a flip without a restart.

    Each document's metadata say how it was found: ``_score`` (the cosine), ``_version``, ``_id``,
    ``_collection_name``, and ``_search_id``, which ``connection.feedback`` takes.

    Attributes:
        k: documents per query.
        filter: conditions on the payload, by Qdrant's paths: ``{"metadata.topic": "arrays"}``, or
            a ``qdrant_client`` ``Filter`` where it can be translated.
        score_threshold: leave out what scores less.
        key: whom a canary shall treat the same every time: a user, a session.
        content_key: the payload's field with the text, where it is no framework's layout.

    All but ``content_key`` can be given to ``invoke`` as well.

    Example:
        .. code-block:: python

            retriever = ReindexRetriever(target="http://localhost:8080", k=3)
            documents = retriever.invoke("flatten a nested list")
    """

    k: int = 4
    filter: Any = None
    score_threshold: float | None = None
    key: str | None = None
    content_key: str | None = None

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        asked = self._asked(kwargs)
        return self._documents(self._connection.search(query, **asked), kwargs)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        asked = self._asked(kwargs)
        return self._documents(await self._connection.asearch(query, **asked), kwargs)

    def _asked(self, given: dict[str, Any]) -> dict[str, Any]:
        unknown = set(given) - {"k", "filter", "score_threshold", "key"}
        if unknown:
            raise TypeError(
                f"Expected k, filter, score_threshold or key, got {', '.join(sorted(unknown))}."
            )
        where = condition_of(given.get("filter", self.filter))
        return {"k": given.get("k", self.k), "where": where, "key": given.get("key", self.key)}

    def _documents(self, results: Results, given: dict[str, Any]) -> list[Document]:
        least = given.get("score_threshold", self.score_threshold)
        found = of_results(results, self.content_key, annotate=True)
        return [item for item in found if least is None or item.metadata["_score"] >= least]
