"""What flows through the making of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

How = Literal["llm", "titles", "cloze"]


@dataclass(frozen=True, slots=True)
class Passage:
    """A document that queries are made for.

    ``text`` is what is embedded, ``shown`` its beginning, ``title`` "" where it has none.
    """

    document: str
    text: str
    shown: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class MadePair:
    """A query with the text that answers it, made from the document of this id."""

    query: str
    positive: str
    document: str


@dataclass(slots=True)
class Tally:
    """How many there were, and how many were dropped for what reason."""

    total: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str) -> None:
        """Count one."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def as_dict(self) -> Mapping[str, Any]:
        """As JSON types."""
        return {"total": self.total, "dropped": dict(self.dropped)}
