"""One way to reindex for whatever plugs in: a server over HTTP, or a project on this host.

with reindex.connect("http://localhost:8080") as connection:
    results = connection.search("flatten a nested list", k=3)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reindex.connection.base import Connection, Embedded, Kind
from reindex.errors import ConfigError

if TYPE_CHECKING:
    from reindex.project import Project

__all__ = ["Connection", "Embedded", "Kind", "connect"]


def connect(
    target: str | Path | Project | Connection, *, api_key: str | None = None, timeout: float = 30.0
) -> Connection:
    """Open a connection; nothing is asked yet, so a server may come up later.

    Args:
        target: the URL of a `reindex serve` (``http://…``), the folder or the ``reindex.toml`` of
            a project, or an open `Project`, which stays the caller's to close. Without a registry:
            ``qdrant+http://HOST:6333/ALIAS?artifacts=ADDRESS``, see `reindex.open_searcher`. A
            connection is given back as it is.
        api_key: the key that the server wants for writing, and for reading where it is not open.
            None: the environment's ``REINDEX_API_KEY``; of a Qdrant server, ``QDRANT_API_KEY``.
        timeout: seconds that the server gets for an answer.

    Raises:
        ConfigError: there is no such project, or the URL is none.
    """
    if isinstance(target, Connection):
        return target
    if isinstance(target, str) and target.startswith("qdrant+"):
        from reindex.connection.searching import searcher_at

        return searcher_at(target, api_key=api_key, timeout=timeout)
    if isinstance(target, str) and "://" in target:
        from reindex.connection.http import HttpConnection

        return HttpConnection(target, api_key=api_key, timeout=timeout)
    from reindex.connection.local import LocalConnection

    if not isinstance(target, str | Path):
        return LocalConnection(target)
    _check_exists(target)
    return LocalConnection.open(Path(target).expanduser())


def _check_exists(target: str | Path) -> None:
    if not Path(target).expanduser().exists():
        raise ConfigError(
            f"There is no {target}. Expected the URL of a server (http://localhost:8080), or the "
            "folder or reindex.toml of a project."
        )
