"""Vector stores: Qdrant Edge in this process, or a Qdrant server. See ``protocols.Store``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reindex.config import Settings
    from reindex.protocols import Catalog, Store

__all__ = ["open_store"]


def open_store(settings: Settings, catalog: Catalog) -> Store:
    """The store that ``[store] kind`` names.

    Args:
        settings: of the project.
        catalog: where the embedded store keeps aliases, metadata and owners; a server keeps its
            own and does not use it.

    Raises:
        StoreTooOld: the server lacks what correctness needs.
        StoreError: the server does not answer.
    """
    if settings.store.kind == "server":
        from reindex.stores.server import connect

        return connect(settings.qdrant, settings.qdrant_api_key())
    from reindex.stores.edge import EdgeStore

    return EdgeStore(settings.resolve(settings.store.path), catalog)
