"""The search side: leases that keep a query and a collection of one space together.

A lease is (collection, encoder), resolved together and used together. A new target's encoder is
loaded in the background; until it is ready the old pair serves, and health says ``degraded``.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Literal, overload

from reindex.errors import CollectionNotFound, ReindexError, SpaceMismatch
from reindex.protocols import Encoder, Store
from reindex.records import Condition, Hit, SearchPlan

Health = Literal["ready", "degraded", "not ready"]
Side = Literal["live", "candidate", "interleaved"]
KEPT_LEASES = 4
"""Encoders kept warm, so that a rollback needs no loading."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A physical collection with the encoder of its space."""

    collection: str
    version: str
    space: str
    encoder: Encoder
    two_stage: bool
    oversampling: int
    hnsw_ef: int | None = None


@dataclass(frozen=True, slots=True)
class Results(Sequence[Hit]):
    """The hits, best first, and which version answered.

    ``search_id`` is what feedback refers to; empty where nothing is recorded. ``side`` says what
    the answer counts for while a canary runs: see docs/rollout.md. An interleaved list bears the
    live version; each hit says which version it comes from.
    """

    hits: tuple[Hit, ...]
    version: str
    collection: str
    search_id: str = field(default="", compare=False)
    side: Side = "live"

    def __len__(self) -> int:
        return len(self.hits)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[index]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)


@dataclass(frozen=True, slots=True)
class Serving:
    """What a version's loader gives: the encoder, and how its collection is searched."""

    encoder: Encoder
    oversampling: int
    certified: frozenset[str]
    """Encodings of the same space that the manifest certifies as interchangeable."""
    hnsw_ef: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a collection, whichever it will be."""

    queries: Sequence[str]
    k: int = 10
    offset: int = 0
    where: Condition | None = None
    exact: bool = False


Resolver = Callable[[], str]
"""Names the physical collection to search. Raises CollectionNotFound where nothing is live."""

Loader = Callable[[str, Mapping[str, Any]], Serving]
"""(collection, its metadata) -> what serves it. Raises ReindexError where it cannot."""


class Retriever:
    """Searches what is live. Thread-safe; sees a flip without a restart."""

    def __init__(
        self, store: Store, resolve: Resolver, load: Loader, *, lease_ttl: float = 1.0
    ) -> None:
        """``resolve`` names the collection to search: what the alias points at.

        ``lease_ttl``: seconds after which it is asked again, in the background. With the embedded
        store it is asked at every request (one SELECT).
        """
        self._store, self._resolve, self._load, self._ttl = store, resolve, load, lease_ttl
        self.timed: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext()
        """Around the stages ``encode`` and ``search`` of each request; for whoever counts."""
        self._leases: OrderedDict[str, Lease] = OrderedDict()
        self._current: Lease | None = None
        self._read_at = 0.0
        self._lock = threading.Lock()
        self._refreshing: threading.Thread | None = None
        self._last_error: str | None = None

    # -- searching

    def search(
        self, query: str, k: int = 10, *, offset: int = 0, where: Condition | None = None,
        exact: bool = False,
    ) -> Results:  # fmt: skip
        """The ``k`` best documents for ``query``, after skipping ``offset``.

        Searches truncated vectors first and rescores on the full ones where the collection is laid
        out for it; ``exact`` scans everything. ``where`` holds conditions on the payload: see
        `reindex.records.Condition`.
        """
        return self.search_many([query], k, offset=offset, where=where, exact=exact)[0]

    def search_many(
        self, queries: Sequence[str], k: int = 10, *, offset: int = 0,
        where: Condition | None = None, exact: bool = False,
    ) -> list[Results]:  # fmt: skip
        """`search` for several queries, all answered by one version."""
        return self._answer(self.lease(), Request(queries, k, offset, where, exact))

    def _answer(self, lease: Lease, request: Request) -> list[Results]:
        """By this pair, or, where its collection is gone, by what is live now."""
        try:
            return self._search(lease, request)
        except CollectionNotFound:
            return self._search(self._resolve_again(lease), request)

    def _search(self, lease: Lease, request: Request) -> list[Results]:
        plan = SearchPlan(
            k=request.k, offset=request.offset, where=request.where, exact=request.exact,
            two_stage=lease.two_stage and not request.exact, oversampling=lease.oversampling,
            hnsw_ef=lease.hnsw_ef,
        )  # fmt: skip
        with self.timed("encode"):
            vectors = lease.encoder.encode_queries(request.queries)
        with self.timed("search"):
            found = [self._store.search(lease.collection, vector, plan) for vector in vectors]
        return [
            Results(
                tuple(replace(hit, version=lease.version) for hit in hits),
                lease.version,
                lease.collection,
            )
            for hits in found
        ]

    # -- leases

    def lease(self) -> Lease:
        """The pair to use for one request. The first call loads; later ones never wait."""
        current = self._current
        if current is None:
            return self._resolve_now()
        if self._store.local:
            target = self._resolve()
            if target == current.collection:
                self._last_error = None
                return current
            return self._swap_to(target, current)
        if time.monotonic() - self._read_at > self._ttl:
            self._start_refresh()
        return self._current or current

    def health(self) -> Health:
        """``degraded`` while an older pair serves because the new target's is not ready."""
        if self._current is None:
            return "not ready"
        return "degraded" if self._refreshing is not None or self._last_error else "ready"

    def wait_until_settled(self, timeout: float | None = None) -> None:
        """Wait until no new pair is being loaded, for instance before a readiness check."""
        refreshing = self._refreshing
        if refreshing is not None:
            refreshing.join(timeout)

    @property
    def last_error(self) -> str | None:
        """Why the new target could not be loaded, if it could not."""
        return self._last_error

    def retune(self, collection: str, oversampling: int, hnsw_ef: int | None) -> None:
        """Search a collection that is leased already by other settings from now on."""
        with self._lock:
            known = self._leases.get(collection)
            if known is None:
                return
            changed = replace(known, oversampling=oversampling, hnsw_ef=hnsw_ef)
            self._leases[collection] = changed
            if self._current is known:
                self._current = changed

    def _swap_to(self, target: str, current: Lease) -> Lease:
        warm = self._leases.get(target)
        if warm is None:
            if self._last_error is None or time.monotonic() - self._read_at > self._ttl:
                self._start_refresh()
            return self._current or current
        self._current, self._last_error = warm, None
        return warm

    def _resolve_now(self) -> Lease:
        with self._lock:
            if self._current is None:
                self._current = self._open(self._resolve())
                self._read_at = time.monotonic()
            return self._current

    def _resolve_again(self, gone: Lease) -> Lease:
        with self._lock:
            self._leases.pop(gone.collection, None)
            if self._current is None or self._current.collection == gone.collection:
                self._current = self._open(self._resolve())
            return self._current

    def _open(self, collection: str) -> Lease:
        known = self._leases.get(collection)
        if known is not None:
            return known
        info = self._store.info(collection)
        serving = self._load(collection, info.metadata)
        _check_space(collection, info.metadata, serving)
        lease = Lease(
            collection,
            str(info.metadata["version"]),
            serving.encoder.space,
            serving.encoder,
            info.layout == "two-stage",
            serving.oversampling,
            serving.hnsw_ef,
        )
        self._leases[collection] = lease
        while len(self._leases) > KEPT_LEASES:
            self._leases.popitem(last=False)
        return lease

    def _start_refresh(self) -> None:
        with self._lock:
            if self._refreshing is None:
                self._refreshing = threading.Thread(
                    target=self._refresh, name="reindex-lease", daemon=True
                )
                self._refreshing.start()

    def _refresh(self) -> None:
        """In the background: read the alias, load its pair, swap it in. The old one serves on."""
        try:
            lease = self._open(self._resolve())
            self._current, self._last_error = lease, None
        except ReindexError as error:
            self._last_error = str(error)
        finally:
            self._read_at = time.monotonic()
            self._refreshing = None


def _check_space(collection: str, metadata: Mapping[str, Any], serving: Serving) -> None:
    encoder = serving.encoder
    if metadata.get("space") != encoder.space:
        raise SpaceMismatch(
            f"{collection} holds vectors of space {str(metadata.get('space'))[:12]}…, but the "
            f"encoder of {metadata.get('version')} makes {encoder.space[:12]}…. Searching one with "
            "the other would return nonsense. Rebuild the collection, or restore the artifact."
        )
    if metadata.get("encoding") not in serving.certified | {encoder.encoding}:
        raise SpaceMismatch(
            f"{collection} was embedded with encoding {str(metadata.get('encoding'))[:12]}…, which "
            f"the manifest does not certify beside {encoder.encoding[:12]}…. Rebuild it."
        )
