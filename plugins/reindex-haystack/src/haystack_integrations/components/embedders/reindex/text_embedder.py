"""`ReindexTextEmbedder`: the vector of a query."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from haystack import component, default_to_dict
from haystack.utils import Secret

from haystack_integrations.common.reindex import Link
from haystack_integrations.common.reindex.link import API_KEY
from haystack_integrations.components.embedders.reindex.embedding import Embedding
from reindex.connection import Embedded, Kind


@component
class ReindexTextEmbedder(Embedding):
    """Embeds a query by what is live, or by one version.

    For retrieval use `ReindexRetriever`, which takes the text: a vector of what is live now may
    meet the vectors of another version a moment later. To search a collection by this vector give
    `model` the version that the collection belongs to, and search the collection by its own name,
    never through the alias.

    ```python
    from haystack_integrations.components.embedders.reindex import ReindexTextEmbedder

    embedder = ReindexTextEmbedder("http://localhost:8080", model="v2")
    print(embedder.run("flatten a nested list")["embedding"])
    ```
    """

    kind: ClassVar[Kind] = "query"

    def __init__(
        self,
        target: str | Path,
        *,
        model: str | None = None,
        dimensions: int | None = None,
        api_key: Secret | None = Secret.from_env_var(API_KEY, strict=False),  # noqa: B008
        timeout: float = 30.0,
    ) -> None:
        """Nothing is asked of reindex yet.

        :param target: The URL of a `reindex serve`, or the folder or `reindex.toml` of a project.
        :param model: A version's name; None: what is live.
        :param dimensions: So many first dimensions, renormalised (Matryoshka); None: all.
        :param api_key: The key that the server wants where reading is not open.
        :param timeout: Seconds that the server gets for an answer.
        """
        # `component` makes the class anew, which `super()` does not know
        Embedding.__init__(self, Link(target, api_key, timeout), model, dimensions)

    def to_dict(self) -> dict[str, Any]:
        """Serializes the component to a dictionary; of the key, its variable's name."""
        return default_to_dict(
            self, **self._link.as_dict(), model=self.model, dimensions=self.dimensions
        )

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    def run(self, text: str) -> dict[str, Any]:
        """Embeds a query.

        :param text: The query.
        :returns: A dictionary with
            - `embedding`: its vector, of unit length;
            - `meta`: `model`, the version in whose space it lies.
        """
        return _answer(self._embed([_checked(text)], self.model))

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    async def run_async(self, text: str) -> dict[str, Any]:
        """As `run`, for asyncio."""
        return _answer(await self._embed_async([_checked(text)], self.model))


def _answer(embedded: Embedded) -> dict[str, Any]:
    return {"embedding": embedded.vectors[0].tolist(), "meta": {"model": embedded.version}}


def _checked(text: Any) -> str:
    if not isinstance(text, str):
        raise TypeError(
            f"ReindexTextEmbedder expects a text, got {type(text).__name__}. For a list of "
            "Documents there is ReindexDocumentEmbedder."
        )
    if not text.strip():
        raise ValueError("ReindexTextEmbedder expects a text, got a blank one.")
    return text
