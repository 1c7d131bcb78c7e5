"""`ReindexEmbeddings`: one version's vectors."""

from __future__ import annotations

from typing import Any

from langchain_core.embeddings import Embeddings
from pydantic import Field, PrivateAttr

from langchain_reindex.connected import Connected
from reindex import Embedded
from reindex.connection import Kind


class ReindexEmbeddings(Connected, Embeddings):
    """Embeds with a version of a reindex project, and never with two.

    Vectors of two versions must not meet. So an object without ``model`` embeds with what is live
    when it is first used, and stays with that version, whatever is promoted later. Name the version
    (``model="v3"``) where vectors outlive the process.

    To search the project's own documents use `ReindexVectorStore` or `ReindexRetriever`: they
    follow a flip, because the server embeds and searches with one version.

    Example:
        .. code-block:: python

            embeddings = ReindexEmbeddings(target="http://localhost:8080", dimensions=128)
            store = InMemoryVectorStore(embeddings)
    """

    model: str | None = Field(default=None, description="A version's name or the alias.")
    dimensions: int | None = Field(
        default=None, description="So many first dimensions, renormalised (Matryoshka)."
    )
    _first: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def version(self) -> str | None:
        """The version whose vectors these are; None before the first ones."""
        return self._first.get("version")

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One unit vector per text."""
        return _lists(self._embed(texts, "document"))

    def embed_query(self, text: str) -> list[float]:
        """The query's unit vector."""
        return _lists(self._embed([text], "query"))[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `embed_documents`."""
        return _lists(await self._aembed(texts, "document"))

    async def aembed_query(self, text: str) -> list[float]:
        """As `embed_query`."""
        return _lists(await self._aembed([text], "query"))[0]

    def _embed(self, texts: list[str], kind: Kind) -> Embedded:
        while True:  # twice at most: then the version is given
            found = self._connection.embed(texts, kind=kind, **self._how())
            if self._stays_with(found):
                return found

    async def _aembed(self, texts: list[str], kind: Kind) -> Embedded:
        while True:
            found = await self._connection.aembed(texts, kind=kind, **self._how())
            if self._stays_with(found):
                return found

    def _how(self) -> dict[str, Any]:
        return {"model": self.version or self.model, "dimensions": self.dimensions}

    def _stays_with(self, found: Embedded) -> bool:
        """Whether these may be given out: another thread may have been first, by another version.

        ``setdefault`` says who was first: it is atomic.
        """
        return not len(found.vectors) or found.version == self._first.setdefault(
            "version", found.version
        )


def _lists(embedded: Embedded) -> list[list[float]]:
    found: list[list[float]] = embedded.vectors.tolist()
    return found
