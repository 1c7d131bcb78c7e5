"""Sources, dead letters and a bench to run converge on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from reindex.build import BuildReport, converge
from reindex.config import BuildSettings
from reindex.errors import TooManyBadRows
from reindex.protocols import (
    DeadLetterSink,
    Encoder,
    Pace,
    Progress,
    Store,
    no_pace,
    no_progress,
)
from reindex.records import CollectionSpec, Document, Payload, Stamp, StoredPoint, point_id
from tests.dict_store import DictStore
from tests.hash_encoder import HashEncoder
from tests.local_crew import LocalCrew

S = TypeVar("S", bound=Store)
COLLECTION = "docs--v1"
BUILD = "build-1"
DIM = 16


class Letters:
    """A dead-letter sink in memory: (id, reason)."""

    def __init__(self, limit: int = 1_000_000) -> None:
        self.rows: list[tuple[int | str | None, str]] = []
        self._limit = limit

    def add(
        self, *, file: str, line: int, reason: str, row: str = "", id: int | str | None = None
    ) -> None:
        self.rows.append((id, reason))
        if len(self.rows) > self._limit:
            raise TooManyBadRows(f"more than {self._limit} bad rows")

    def ok(self, rows: int = 1) -> None:
        pass

    @property
    def count(self) -> int:
        return len(self.rows)

    @property
    def ids(self) -> frozenset[int | str]:
        return frozenset(id for id, _ in self.rows if id is not None)


@dataclass(frozen=True)
class BadRow:
    """A row of a `ListSource` that goes to the dead letters."""

    id: int | str | None


@dataclass
class ListSource:
    """Documents and bad rows from a list; raises ``error`` before row ``fail_at``."""

    rows: Sequence[Document | BadRow]
    name: str = "list:a"
    fail_at: int | None = None
    error: BaseException = field(default_factory=lambda: OSError("the disk is gone"))
    given: int = 0

    def documents(self, dead: DeadLetterSink) -> Iterator[Document]:
        for position, row in enumerate(self.rows):
            if position == self.fail_at:
                raise self.error
            if isinstance(row, BadRow):
                dead.add(file=self.name, line=position, reason="bad", id=row.id)
            else:
                self.given += 1
                yield row
        if self.fail_at is not None and self.fail_at >= len(self.rows):
            raise self.error

    def count(self) -> int | None:
        return len(self.rows)


def doc(id: int | str, text: str | None = None, **payload: Any) -> Document:
    """A document whose payload holds its text, as sources make them."""
    text = f"text of {id}" if text is None else text
    return Document(id, text, {"text": text, **payload})


def docs(count: int, start: int = 0) -> list[Document]:
    return [doc(f"doc-{number}") for number in range(start, start + count)]


def make_collection(store: Store, encoder: Encoder, name: str = COLLECTION) -> None:
    """An empty two-stage collection for the encoder."""
    metadata = {
        "project": "docs",
        "version": "v1",
        "space": encoder.space,
        "encoding": encoder.encoding,
        "build": BUILD,
    }
    spec = CollectionSpec(name, encoder.dim, "two-stage", encoder.dim // 2, metadata)
    store.create(spec)


@dataclass
class Bench(Generic[S]):
    """A store, an encoder and a counter of revs: everything that a run of converge needs.

    ``hands``: whether a crew does the work.
    """

    store: S
    encoder: HashEncoder
    rev: int = 0
    letters: Letters = field(default_factory=Letters)
    collection: str = COLLECTION
    hands: bool = False

    def crew(self, store: Store, encoder: Encoder, unit: int) -> LocalCrew | None:
        """Who works beside the run, if anybody does."""
        return LocalCrew(store, encoder, unit=unit) if self.hands else None

    def run(
        self,
        rows: Sequence[Document | BadRow] | ListSource,
        *,
        encoder: Encoder | None = None,
        store: Store | None = None,
        allow_deletes: bool = True,
        settings: BuildSettings | None = None,
        batch_size: int = 4,
        progress: Progress = no_progress,
        pace: Pace = no_pace,
        letters: Letters | None = None,
    ) -> BuildReport:
        """One run over ``rows`` with a fresh rev and fresh dead letters."""
        self.rev += 1
        self.letters = letters or Letters()
        return converge(
            rows if isinstance(rows, ListSource) else ListSource(rows),
            encoder or self.encoder,
            store or self.store,
            self.collection,
            build=BUILD,
            rev=self.rev,
            dead=self.letters,
            settings=settings or BuildSettings(),
            batch_size=batch_size,
            allow_deletes=allow_deletes,
            crew=self.crew(store or self.store, encoder or self.encoder, batch_size),
            progress=progress,
            pace=pace,
        )

    def stored(self, id: int | str) -> StoredPoint:
        """The point of a document, with payload and vector."""
        key = point_id(id)
        found = self.store.retrieve(self.collection, [key], with_payload=True, with_vector=True)
        return found[key]

    def stamp_of(self, id: int | str) -> Stamp:
        """The stamp of a document's point, which must have one."""
        stamp = self.stored(id).stamp
        assert stamp is not None
        return stamp

    def contents(self) -> dict[int | str, tuple[str, Payload]]:
        """document id -> (text hash, payload), of stamped points."""
        return {
            point.stamp.id: (point.stamp.text_hash, point.payload)
            for page in self.store.scroll(self.collection, with_payload=True)
            for point in page
            if point.stamp is not None
        }


DictBench = Bench[DictStore]


def dict_bench(*, hands: bool = False) -> DictBench:
    """A bench on an empty `DictStore`."""
    encoder, store = HashEncoder(DIM), DictStore()
    make_collection(store, encoder)
    return Bench(store, encoder, hands=hands)


WAYS: Any = {"params": [False, True], "ids": ["here", "crew"]}
"""Of a fixture: once as one process works, once with hands elsewhere."""


def other_stamp(bench: DictBench, id: str, rev: int = 99) -> Stamp:
    """What somebody else stamps a document's point with."""
    return Stamp(id, bench.encoder.space, "e", BUILD, "list:a", "t" * 32, "p" * 32, rev)
