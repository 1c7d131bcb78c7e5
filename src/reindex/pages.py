"""What is read of a collection at a time."""

from __future__ import annotations

from dataclasses import dataclass

from reindex.records import Document, PointId


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Some of a collection's documents, in the order of their points.

    ``following`` begins the next page; None: this was the last.
    """

    documents: tuple[Document, ...]
    following: PointId | None
