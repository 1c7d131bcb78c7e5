"""Retrieval from a reindex project."""

from haystack_integrations.components.retrievers.reindex.retriever import ReindexRetriever

__all__ = ["ReindexRetriever"]
