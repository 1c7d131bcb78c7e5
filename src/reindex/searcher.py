"""Searching with a Qdrant server and an address of artifacts alone, without the registry.

What is live is what the alias says; which version that is, in which space, and how it is searched,
its collection's metadata say; the encoder comes from the address. Nothing is written anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reindex.encoder import load_encoder
from reindex.errors import CollectionNotFound
from reindex.protocols import Store
from reindex.registry.ledger import DEFAULT_OVERSAMPLING
from reindex.retriever import Lease, Retriever, Serving
from reindex.transport.shelf import GRAPH, Shelf

SEARCH_KEY = "search"
"""In a collection's metadata: how it is searched, as the project measured or froze it."""

MOST = 100_000
"""First-stage candidates per result, and hnsw_ef, that are believed."""

LOOK_AGAIN_S = 30.0
"""Seconds after which a collection's metadata are read again for how it is searched."""


class Searcher(Retriever):
    """Searches what an alias on a server points at. Thread-safe; follows flips.

    Args:
        store: the server.
        alias: what is searched.
        shelf: where the artifacts come from.
        threads: texts that are embedded at the same time; None: all cores.
        lease_ttl: seconds after which the alias is read again, in the background.
    """

    def __init__(
        self, store: Store, alias: str, shelf: Shelf, *, threads: int | None = None,
        lease_ttl: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(store, self._what_is_live, self._serving, lease_ttl=lease_ttl)
        self.alias, self.shelf, self._threads = alias, shelf, threads
        self.digests: dict[str, str] = {}
        """Collection -> the digest of the artifact that embeds for it."""
        self._looked: dict[str, float] = {}

    @property
    def store(self) -> Store:
        """The server."""
        return self._store

    def _what_is_live(self) -> str:
        live = self._store.aliases().get(self.alias)
        if live is None:
            raise CollectionNotFound(
                f"There is no alias {self.alias!r} on the server. Expected the alias of a project "
                "that has promoted a version (project.alias in its reindex.toml)."
            )
        return live

    def _serving(self, collection: str, metadata: Mapping[str, Any]) -> Serving:
        fetched = self.shelf.fetch(collection, metadata)
        encoder = load_encoder(fetched.folder, graph=GRAPH, threads=self._threads)
        self.digests[collection] = fetched.digest
        self._looked[collection] = time.monotonic()
        how = how_searched(metadata)
        certified = frozenset(fetched.manifest.certified_with(encoder.encoding))
        return Serving(encoder, how[0], certified, how[1])

    def _open(self, collection: str) -> Lease:
        """As `Retriever._open`; now and then with how it is searched since it was tuned again."""
        lease = super()._open(collection)
        if time.monotonic() - self._looked[collection] < LOOK_AGAIN_S:
            return lease
        self._looked[collection] = time.monotonic()
        oversampling, hnsw_ef = how_searched(self._store.info(collection).metadata)
        lease = replace(lease, oversampling=oversampling, hnsw_ef=hnsw_ef)
        self._leases[collection] = lease
        return lease

    def standing(self) -> dict[str, Any]:
        """What serves: alias, collection, version, space, artifact, health, and what is wrong."""
        lease: Lease | None = self._current
        return {
            "alias": self.alias,
            "collection": lease.collection if lease else None,
            "version": lease.version if lease else None,
            "space": lease.space if lease else None,
            "artifact": self.digests.get(lease.collection) if lease else None,
            "artifacts": self.shelf.address,
            "health": self.health(),
            "error": self.last_error,
        }


def how_searched(metadata: Mapping[str, Any]) -> tuple[int, int | None]:
    """(oversampling, hnsw_ef) as a collection's metadata say; the defaults where they do not."""
    said = metadata.get(SEARCH_KEY)
    said = said if isinstance(said, Mapping) else {}
    return _number(said.get("oversampling")) or DEFAULT_OVERSAMPLING, _number(said.get("hnsw_ef"))


def _number(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    fine = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST
    return value if fine else None
