"""LlamaIndex's retriever over reindex."""

from llama_index.retrievers.reindex.base import ReindexRetriever
from llama_index.retrievers.reindex.filters import where_of
from llama_index.retrievers.reindex.nodes import SEARCH_KEY, VERSION_KEY

__all__ = ["SEARCH_KEY", "VERSION_KEY", "ReindexRetriever", "where_of"]
