"""Hits and stored documents as LangChain's documents, and back."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.documents import Document
from pydantic_core import to_jsonable_python

from reindex import Results
from reindex.corpus.frameworks import NODE_KEY, StoredText, detect
from reindex.records import Document as Stored
from reindex.records import Hit

_HEX = re.compile(r"[0-9a-f]{32}")
_METADATA = {"langchain": "metadata", "haystack": "meta"}
"""Where a framework's payload keeps what LangChain calls metadata."""


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
    """A document from what is stored, in the layout that the payload shows.

    LangChain's own, LlamaIndex's and Haystack's are known by their keys. Of any other the text is
    ``content_key``, or the usual field, and the metadata are all the others.
    """
    text = StoredText("plain", (content_key,)) if content_key else _text_of(payload)
    metadata = _metadata(text, payload)
    return Document(id=str(id), page_content=text(payload), metadata=metadata)


def _text_of(payload: Mapping[str, Any]) -> StoredText:
    found = detect([payload])
    return found[0].text if found else StoredText("plain")


def _metadata(text: StoredText, payload: Mapping[str, Any]) -> dict[str, Any]:
    if not text.fields and text.preset == "llamaindex":
        return dict(json.loads(payload[NODE_KEY]).get("metadata") or {})
    if not text.fields and text.preset in _METADATA:
        return dict(payload.get(_METADATA[text.preset]) or {})
    body = text.fields or ("text",)
    return {name: value for name, value in payload.items() if name not in body}


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
