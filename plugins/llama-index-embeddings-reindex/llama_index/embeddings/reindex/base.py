"""Embeddings by one version of a project's model."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr, SecretStr

from reindex.connection import Connection, Embedded, Kind, connect
from reindex.errors import ConfigError
from reindex.project import Project

LIVE: Final = "live"
"""As ``model_name``: the version that is live at the first text; from then on that very one."""

_KEEPING: Final = threading.Lock()


class ReindexEmbedding(BaseEmbedding):
    """Embeds queries and texts with a version's own prompts, and by one version only.

    Vectors of two versions must never be compared. So an embedding that names no version takes
    the one that is live when it embeds for the first time, says so in ``model_name``, and keeps
    to it: a flip does not change what it computes. To follow flips, search by `ReindexRetriever`
    or `ReindexVectorStore`, which embed and search in one.

    Examples:
        `pip install llama-index-embeddings-reindex`

        ```python
        from llama_index.embeddings.reindex import ReindexEmbedding

        embed_model = ReindexEmbedding("http://localhost:8080", model_name="v2")
        ```
    """

    model_config = ConfigDict(extra="forbid")  # `model=`, left out silently, would embed by another

    model_name: str = Field(
        default=LIVE, description="A version (v2), or 'live': the one live at the first text."
    )
    embed_batch_size: int = Field(default=64, description="Texts per request.", gt=0, le=2048)
    target: str = Field(description="URL of a reindex server, or the folder of a project.")
    dimensions: int | None = Field(
        default=None, description="So many first dimensions, renormalised (Matryoshka).", gt=0
    )
    timeout: float = Field(default=30.0, description="Seconds that a server gets.", gt=0)
    api_key: SecretStr | None = Field(
        default=None, description="The server's key; unset: REINDEX_API_KEY.", exclude=True
    )

    _client: Connection = PrivateAttr()
    _version: str | None = PrivateAttr(default=None)

    def __init__(
        self,
        target: str | Path | Project | Connection,
        model_name: str = LIVE,
        *,
        api_key: str | SecretStr | None = None,
        timeout: float = 30.0,
        **kwargs: Any,
    ) -> None:
        """Nothing is asked yet.

        Args:
            target: the URL of a `reindex serve`, the folder or ``reindex.toml`` of a project, an
                open project, or an open connection (which several components may share).
            kwargs: the other fields, ``dimensions`` and those of every embedding.

        Raises:
            ConfigError: there is no such project, or the URL is none; or a cache is given without
                a version.
        """
        key = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key
        client = connect(target, api_key=key, timeout=timeout)
        super().__init__(
            target=client.target, model_name=model_name, api_key=api_key, timeout=timeout, **kwargs
        )
        self._client = client
        if self.embeddings_cache is not None and model_name == LIVE:
            raise ConfigError(
                "A cache keeps vectors under their texts alone, so one that outlives a flip would "
                "mix two versions'. Name the version (model_name='v2'), and keep a cache per one."
            )

    @classmethod
    def class_name(cls) -> str:
        """For serialisation."""
        return "ReindexEmbedding"

    @property
    def client(self) -> Connection:
        """The connection."""
        return self._client

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._client = state["__pydantic_private__"]["_client"]
        self._version = state["__pydantic_private__"]["_version"]

    # -- what BaseEmbedding asks for

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._embedded([query], "query")[0]

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._embedded([text], "document")[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._embedded(texts, "document")

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return (await self._aembedded([query], "query"))[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return (await self._aembedded([text], "document"))[0]

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await self._aembedded(texts, "document")

    # -- by one version

    def _embedded(self, texts: list[str], kind: Kind) -> list[Embedding]:
        answer = self._client.embed(texts, **self._how(kind))
        if not self._keeps_to(answer):
            answer = self._client.embed(texts, **self._how(kind))
        return _lists(answer)

    async def _aembedded(self, texts: list[str], kind: Kind) -> list[Embedding]:
        answer = await self._client.aembed(texts, **self._how(kind))
        if not self._keeps_to(answer):
            answer = await self._client.aembed(texts, **self._how(kind))
        return _lists(answer)

    def _how(self, kind: Kind) -> dict[str, Any]:
        model = None if self.model_name == LIVE else self.model_name
        return {"kind": kind, "model": model, "dimensions": self.dimensions}

    def _keeps_to(self, answer: Embedded) -> bool:
        """Whether the answer is by the version of the first one, which it may be itself.

        Of several first requests at once, across a flip, the later answer is asked for anew.
        """
        with _KEEPING:
            if self._version is None:
                self._version = self.model_name = answer.version
        return answer.version == self._version


def _lists(answer: Embedded) -> list[Embedding]:
    found: list[Embedding] = answer.vectors.tolist()
    return found
