"""Under which id a document is written, and what becomes of one that is there already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from haystack import Document, logging
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy

from haystack_integrations.document_stores.reindex.converters import qdrant_id, to_payload
from reindex import records

logger = logging.getLogger(__name__)

Id = int | str


def checked(documents: Any) -> dict[str, Document]:
    """The documents by id; of several with one id the last.

    Raises:
        ValueError: what was given is no list of documents, or one of them has no text.
    """
    if isinstance(documents, str) or not isinstance(documents, Iterable):
        raise ValueError(f"Expected a list of Documents, got {type(documents).__name__}.")
    found: dict[str, Document] = {}
    embedded = 0
    for document in documents:
        if not isinstance(document, Document):
            raise ValueError(
                f"Expected a list of Documents, got a {type(document).__name__} in it."
            )
        if not document.content or document.content.isspace():
            raise ValueError(
                f"Document {document.id!r} has no text (content), and reindex embeds nothing else. "
                "Nothing was written."
            )
        embedded += document.embedding is not None or document.sparse_embedding is not None
        found[document.id] = document
    if embedded:
        logger.warning(
            "The vectors of {count} documents are not stored: reindex embeds what is written to "
            "it, by the version that is live. The embedder before the writer can be left out.",
            count=embedded,
        )
    return found


def checked_ids(document_ids: Any) -> list[str]:
    """The ids; ValueError where they are no list. A text would be one, of its letters."""
    if isinstance(document_ids, str) or not isinstance(document_ids, Iterable):
        raise ValueError(f"Expected a list of documents' ids, got {document_ids!r}.")
    return list(document_ids)


def candidates(document_id: str) -> list[Id]:
    """The ids under which a collection may know a document.

    Its own, where files or this store wrote it; a number, where files have numbers; the point of
    `QdrantDocumentStore`, where that wrote it.
    """
    if not isinstance(document_id, str) or not document_id.strip():
        raise ValueError(f"Expected the id of a document, got {document_id!r}.")
    number: list[Id] = [int(document_id)] if _canonical(document_id) else []
    return [document_id, *number, qdrant_id(document_id)]


def _canonical(text: str) -> bool:
    return text.isascii() and text.isdigit() and str(int(text)) == text and int(text) < 2**64


def known_ids(documents: Iterable[str], found: Iterable[records.Document]) -> dict[str, list[Id]]:
    """document id -> the ids under which it is there, of those in ``found``."""
    there = {item.id for item in found}
    return {id: [item for item in candidates(id) if item in there] for id in documents}


def chosen(
    documents: dict[str, Document], known: dict[str, list[Id]], policy: Any
) -> dict[str, Document]:
    """Those that are to be written.

    Raises:
        DuplicateDocumentError: one is there, and the policy is to fail (NONE means the same).
        ValueError: the policy is none.
    """
    if not isinstance(policy, DuplicatePolicy):
        raise ValueError(f"Expected a DuplicatePolicy, got {policy!r}.")
    there = [id for id in documents if known[id]]
    if policy == DuplicatePolicy.OVERWRITE:
        return documents
    if policy == DuplicatePolicy.SKIP:
        return {id: item for id, item in documents.items() if not known[id]}
    if there:
        shown = ", ".join(repr(id) for id in there[:3]) + (", …" if len(there) > 3 else "")
        raise DuplicateDocumentError(
            f"{len(there)} of {len(documents)} documents are there already: {shown}. Nothing was "
            "written. Write with DuplicatePolicy.OVERWRITE or DuplicatePolicy.SKIP."
        )
    return documents


def writes(
    documents: dict[str, Document], known: dict[str, list[Id]], *, as_qdrant: bool
) -> list[tuple[Id, None, dict[str, Any]]]:
    """What reindex is given: the text is in the payload, where the project's settings look for it.

    ``as_qdrant``: new ones go where `QdrantDocumentStore` puts them.
    """
    return [
        ((known[id] or [qdrant_id(id) if as_qdrant else id])[0], None, to_payload(document))
        for id, document in documents.items()
    ]
