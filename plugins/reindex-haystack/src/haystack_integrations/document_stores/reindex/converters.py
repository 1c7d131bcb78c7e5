"""Haystack's documents <-> what a collection's points hold."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from haystack import Document
from haystack.dataclasses import ByteStream

from reindex.corpus.frameworks import NODE_KEY, StoredText, detect
from reindex.records import STAMP_KEY

QDRANT_NAMESPACE = uuid.UUID("3896d314-1e95-4a3a-b45a-945f9f0b541d")
"""By which Haystack's own `QdrantDocumentStore` makes point ids of documents' ids."""


def qdrant_id(document_id: str) -> str:
    """The point that `QdrantDocumentStore` keeps a document in."""
    return str(uuid.uuid5(QDRANT_NAMESPACE, document_id))


def to_payload(document: Document) -> dict[str, Any]:
    """What is stored: `QdrantDocumentStore` reads it. Vectors are reindex's own affair.

    A stamp that it has read into the metadata is no metadata.
    """
    meta = {key: value for key, value in document.meta.items() if key != STAMP_KEY}
    payload: dict[str, Any] = {"id": document.id, "content": document.content, "meta": meta}
    if document.blob is not None:
        payload["blob"] = document.blob.to_dict()
    return payload


def to_document(id: int | str, payload: Mapping[str, Any], score: float | None = None) -> Document:
    """A point's payload, whichever client laid it out, as a document.

    ``id`` is what reindex knows it by; a payload in Haystack's form brings the document's own.
    """
    meta = payload.get("meta")
    if "content" in payload and isinstance(meta, Mapping):
        return _haystack(id, payload, meta, score)
    ways = detect([payload])
    text = ways[0].text if ways else StoredText("plain")
    return Document(
        id=str(id), content=text(payload) or None, meta=_rest(payload, text), score=score
    )


def _haystack(
    id: int | str, payload: Mapping[str, Any], meta: Mapping[str, Any], score: float | None
) -> Document:
    own = payload.get("id")
    others = {key: value for key, value in payload.items() if key not in _FIELDS}
    blob = payload.get("blob")
    return Document(
        id=own if isinstance(own, str) and own else str(id),
        content=payload["content"],
        blob=ByteStream.from_dict(dict(blob)) if isinstance(blob, Mapping) else None,
        meta={**meta, **others},
        score=score,
    )


_FIELDS = ("id", "content", "blob", "meta", "score", "embedding", "sparse_embedding", "dataframe")


def _rest(payload: Mapping[str, Any], text: StoredText) -> dict[str, Any]:
    """Everything but the text."""
    if text.preset == "langchain":
        metadata = payload.get("metadata")
        return dict(metadata) if isinstance(metadata, Mapping) else {}
    left_out = {*text.fields, NODE_KEY, *(("text",) if text.preset == "llamaindex" else ())}
    return {key: value for key, value in payload.items() if key not in left_out}
