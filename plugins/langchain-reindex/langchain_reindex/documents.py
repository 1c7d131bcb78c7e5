"""Hits and stored documents as LangChain's documents, and back."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.documents import Document
from pydantic_core import to_jsonable_python

from reindex import Results
from reindex.connection.layouts import text_and_metadata
from reindex.records import Document as Stored
from reindex.records import Hit

_HEX = re.compile(r"[0-9a-f]{32}")


def of_results(results: Results, content_key: str | None, *, annotate: bool) -> list[Document]:
    """The hits as documents; ``annotate``: say how they were found, in the metadata."""
    return [_of_hit(hit, results, content_key, annotate=annotate) for hit in results]


def _of_hit(hit: Hit, results: Results, content_key: str | None, *, annotate: bool) -> Document:
    document = of_payload(hit.id, hit.payload, content_key)
    if annotate:
        document.metadata |= {
            "_id": hit.id, "_score": hit.score, "_version": hit.version,
            "_collection_name": results.collection, "_search_id": results.search_id,
        }  # fmt: skip
    return document


def of_payload(id: int | str, payload: Mapping[str, Any], content_key: str | None) -> Document:
    """A document from what is stored, in the layout that the payload shows."""
    text, metadata = text_and_metadata(payload, content_key)
    return Document(id=str(id), page_content=text, metadata=metadata)


def to_stored(
    texts: Iterable[str], metadatas: list[dict[str, Any]] | None, ids: Iterable[Any] | None
) -> tuple[list[str], list[Stored]]:
    """(ids as LangChain shall see them, documents to write).

    Metadata that is not JSON (dates, UUIDs, paths) is stored as Qdrant's client would store it.
    """
    texts = list(texts)
    metadatas = metadatas or [{}] * len(texts)
    given = list(ids) if ids is not None else [None] * len(texts)
    _check_lengths(texts, metadatas, given)
    known = [str(uuid.uuid4()) if id is None else id for id in given]
    stored = [
        Stored(own_id(id), text, to_jsonable_python(metadata or {}, inf_nan_mode="constants"))
        for id, text, metadata in zip(known, texts, metadatas, strict=True)
    ]
    return [str(id) if not isinstance(id, str) else id for id in known], stored


def _check_lengths(texts: list[str], metadatas: list[Any], ids: list[Any]) -> None:
    if not len(texts) == len(metadatas) == len(ids):
        raise ValueError(
            f"Expected as many metadatas and ids as texts, got {len(texts)} texts, "
            f"{len(metadatas)} metadatas and {len(ids)} ids."
        )


def own_id(id: Any) -> int | str:
    """An id as reindex has it. ``uuid4().hex``, which `QdrantVectorStore` makes, is a UUID."""
    if isinstance(id, int) and not isinstance(id, bool):
        return id
    text = str(id)
    return str(uuid.UUID(text)) if _HEX.fullmatch(text) else text
