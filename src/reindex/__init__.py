"""reindex: change a retrieval system's embedding model routinely, safely and reversibly.

``reindex.open("reindex.toml")`` opens a project; see `reindex.project.Project`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reindex.connection import Connection, Embedded, connect
    from reindex.connection.searching import open_searcher
    from reindex.errors import ReindexError
    from reindex.indexing import Indexer
    from reindex.project import Project
    from reindex.project import open_project as open
    from reindex.records import Document
    from reindex.retriever import Results, Retriever
    from reindex.rollout.retriever import RollingRetriever

__version__ = "0.1.0"

_PUBLIC = {
    "connect": ("reindex.connection", "connect"),
    "open": ("reindex.project", "open_project"),
    "open_searcher": ("reindex.connection.searching", "open_searcher"),
    "Connection": ("reindex.connection", "Connection"),
    "Document": ("reindex.records", "Document"),
    "Embedded": ("reindex.connection", "Embedded"),
    "Indexer": ("reindex.indexing", "Indexer"),
    "Project": ("reindex.project", "Project"),
    "ReindexError": ("reindex.errors", "ReindexError"),
    "Results": ("reindex.retriever", "Results"),
    "Retriever": ("reindex.retriever", "Retriever"),
    "RollingRetriever": ("reindex.rollout.retriever", "RollingRetriever"),
}

__all__ = [
    "Connection",
    "Document",
    "Embedded",
    "Indexer",
    "Project",
    "ReindexError",
    "Results",
    "Retriever",
    "RollingRetriever",
    "__version__",
    "connect",
    "open",
    "open_searcher",
]


def __getattr__(name: str) -> Any:
    """Import on first use, so that `reindex --help` costs nothing."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'reindex' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(import_module(module), attribute)
