"""A reindex project as a document store of Haystack."""

from haystack_integrations.document_stores.reindex.document_store import ReindexDocumentStore

__all__ = ["ReindexDocumentStore"]
