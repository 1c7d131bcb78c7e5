"""What the embedders share: by which version, and how the connection lives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from haystack import default_from_dict

from haystack_integrations.common.reindex import Link
from haystack_integrations.common.reindex.link import with_key
from reindex.connection import Embedded, Kind


class Embedding:
    """Embeds by what is live, or by one version."""

    kind: ClassVar[Kind]

    def __init__(self, link: Link, model: str | None, dimensions: int | None) -> None:
        self._link = link
        self.model = model
        self.dimensions = dimensions
        self._warm = False

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Deserializes the component from a dictionary."""
        made: Self = default_from_dict(cls, with_key(data))
        return made

    def warm_up(self) -> None:
        """Embeds a word: a wrong address is told now, and the model is loaded."""
        if not self._warm:
            self._embed(["warm"], self.model)
            self._warm = True

    async def warm_up_async(self) -> None:
        """As `warm_up`."""
        if not self._warm:
            await self._embed_async(["warm"], self.model)
            self._warm = True

    def close(self) -> None:
        """Hang up; the next use connects again."""
        self._link.close()

    async def close_async(self) -> None:
        """As `close`."""
        await self._link.close_async()

    def _embed(self, texts: Sequence[str], model: str | None) -> Embedded:
        return self._link.connection.embed(
            texts, kind=self.kind, model=model, dimensions=self.dimensions
        )

    async def _embed_async(self, texts: Sequence[str], model: str | None) -> Embedded:
        return await self._link.connection.aembed(
            texts, kind=self.kind, model=model, dimensions=self.dimensions
        )
