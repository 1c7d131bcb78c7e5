"""`ReindexDocumentEmbedder`: the vectors of documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from haystack import Document, component, default_to_dict
from haystack.utils import Secret
from tqdm import tqdm  # type: ignore[import-untyped]

from haystack_integrations.common.reindex import Link
from haystack_integrations.common.reindex.link import API_KEY
from haystack_integrations.components.embedders.reindex.embedding import Embedding
from reindex.connection import Kind


@component
class ReindexDocumentEmbedder(Embedding):
    """Embeds documents by what is live, or by one version; all of a run by the same one.

    To write into a reindex project none is needed: `ReindexDocumentStore` embeds what it is given.
    This is for other uses of the vectors: another store, grouping, finding duplicates.

    ```python
    from haystack import Document
    from haystack_integrations.components.embedders.reindex import ReindexDocumentEmbedder

    embedder = ReindexDocumentEmbedder("http://localhost:8080", meta_fields_to_embed=["title"])
    found = embedder.run([Document(content="…", meta={"title": "Nested lists"})])
    print(found["meta"]["model"], found["documents"][0].embedding)
    ```
    """

    kind: ClassVar[Kind] = "document"

    def __init__(  # noqa: PLR0913  # those of Haystack's embedders
        self,
        target: str | Path,
        *,
        model: str | None = None,
        dimensions: int | None = None,
        batch_size: int = 32,
        progress_bar: bool = True,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
        api_key: Secret | None = Secret.from_env_var(API_KEY, strict=False),  # noqa: B008
        timeout: float = 30.0,
    ) -> None:
        """Nothing is asked of reindex yet. There is no prefix: a model's prompts are the version's.

        :param target: The URL of a `reindex serve`, or the folder or `reindex.toml` of a project.
        :param model: A version's name; None: what is live.
        :param dimensions: So many first dimensions, renormalised (Matryoshka); None: all.
        :param batch_size: Documents per request.
        :param progress_bar: Whether to show the progress.
        :param meta_fields_to_embed: Fields of the metadata to embed before the text.
        :param embedding_separator: What stands between them.
        :param api_key: The key that the server wants where reading is not open.
        :param timeout: Seconds that the server gets for an answer.
        """
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"Expected batch_size as a number of at least 1, got {batch_size!r}.")
        # `component` makes the class anew, which `super()` does not know
        Embedding.__init__(self, Link(target, api_key, timeout), model, dimensions)
        self.batch_size = batch_size
        self.progress_bar = progress_bar
        self.meta_fields_to_embed = meta_fields_to_embed or []
        self.embedding_separator = embedding_separator

    def to_dict(self) -> dict[str, Any]:
        """Serializes the component to a dictionary; of the key, its variable's name."""
        return default_to_dict(
            self,
            **self._link.as_dict(),
            model=self.model,
            dimensions=self.dimensions,
            batch_size=self.batch_size,
            progress_bar=self.progress_bar,
            meta_fields_to_embed=self.meta_fields_to_embed,
            embedding_separator=self.embedding_separator,
        )

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """Embeds documents.

        :param documents: The documents; they are not changed.
        :returns: A dictionary with
            - `documents`: copies with their vectors, of unit length;
            - `meta`: `model`, the version in whose space all of them lie.
        :raises ValueError: If a document has no text.
        """
        texts, model, found = self._texts(documents), self.model, []
        for batch in self._batches(texts):
            embedded = self._embed(batch, model)
            model = embedded.version  # a flip in between must not mix two spaces
            found += embedded.vectors.tolist()
        return _answer(documents, found, model)

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    async def run_async(self, documents: list[Document]) -> dict[str, Any]:
        """As `run`, for asyncio."""
        texts, model, found = self._texts(documents), self.model, []
        for batch in self._batches(texts):
            embedded = await self._embed_async(batch, model)
            model = embedded.version
            found += embedded.vectors.tolist()
        return _answer(documents, found, model)

    def _batches(self, texts: list[str]) -> Iterator[list[str]]:
        bar = tqdm(total=len(texts), disable=not self.progress_bar, desc="Calculating embeddings")
        with bar:
            for start in range(0, len(texts), self.batch_size):
                batch = texts[start : start + self.batch_size]
                yield batch
                bar.update(len(batch))

    def _texts(self, documents: list[Document]) -> list[str]:
        if not isinstance(documents, list) or not all(isinstance(d, Document) for d in documents):
            raise TypeError(
                "ReindexDocumentEmbedder expects a list of Documents. For a text there is "
                "ReindexTextEmbedder."
            )
        return [self._text(document) for document in documents]

    def _text(self, document: Document) -> str:
        """As Haystack's own embedders join them."""
        values = [document.meta.get(field) for field in self.meta_fields_to_embed]
        parts = [str(value) for value in values if value is not None]
        text = self.embedding_separator.join([*parts, document.content or ""])
        if not text.strip():
            raise ValueError(f"Document {document.id!r} has no text to embed.")
        return text


def _answer(
    documents: list[Document], vectors: list[list[float]], model: str | None
) -> dict[str, Any]:
    embedded = [
        replace(document, embedding=vector)
        for document, vector in zip(documents, vectors, strict=True)
    ]
    return {"documents": embedded, "meta": {"model": model}}
