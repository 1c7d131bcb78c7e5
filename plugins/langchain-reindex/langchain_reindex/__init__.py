"""LangChain's embeddings, retriever and vector store over reindex."""

from langchain_reindex.embeddings import ReindexEmbeddings
from langchain_reindex.retriever import ReindexRetriever
from langchain_reindex.vectorstore import ReindexVectorStore

__all__ = ["ReindexEmbeddings", "ReindexRetriever", "ReindexVectorStore"]
