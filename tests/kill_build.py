"""One build in a process of its own, for tests that kill it: ROOT STATE REV.

``ROOT`` holds the embedded store and its catalog; ``STATE`` is the number of the source's state
(see `rows_of`). Prints ``building`` right before converge and the report as JSON after it.
"""

from __future__ import annotations

import dataclasses
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from reindex.build import converge
from reindex.config import BuildSettings
from reindex.records import Document, Vector
from reindex.stores.edge import EdgeStore
from tests.build_fixtures import BUILD, COLLECTION, Letters, ListSource, doc, make_collection
from tests.hash_encoder import HashEncoder
from tests.store_fixtures import FileCatalog

DOCUMENTS, DIM, BATCH = 3_000, 64, 32


def rows_of(state: int) -> list[Document]:
    """The source in its ``state``: each state edits, deletes and adds a fifth, and repeats texts.

    Shuffled, so that a killed build has not simply done a first part of the ids.
    """
    rows = [
        doc(
            f"doc-{n}",
            f"text {n % 2_500} of state {state if n % 5 == state % 5 else 0}",
            tenant=state if n % 7 == 0 else 0,
        )
        for n in range(state * 300, state * 300 + DOCUMENTS)
    ]
    random.Random(state).shuffle(rows)
    return rows


class LoggedEncoder(HashEncoder):
    """Keeps the number of embedded texts in a file, call by call, so that it outlives a kill."""

    def __init__(self, log: Path) -> None:
        super().__init__(DIM)
        self._log = log

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{len(texts)}\n")
        return super().encode_documents(texts)


def embedded(root: Path) -> int:
    """Texts that all builds in ``root`` have embedded together."""
    return sum(map(int, (root / "embedded.log").read_text("utf-8").split()))


def open_store(root: Path) -> EdgeStore:
    """The store under ``root``, with its one collection."""
    store = EdgeStore(root / "store", FileCatalog(root / "catalog.json"))
    if COLLECTION not in store.collections():
        make_collection(store, HashEncoder(DIM))
    return store


def build(root: Path, state: int, rev: int) -> None:
    """Converge the collection in ``root`` with the source's ``state``."""
    store = open_store(root)
    source, encoder = ListSource(rows_of(state)), LoggedEncoder(root / "embedded.log")
    print("building", flush=True)
    report = converge(
        source,
        encoder,
        store,
        COLLECTION,
        build=BUILD,
        rev=rev,
        dead=Letters(),
        settings=BuildSettings(flush_every=500),
        batch_size=BATCH,
        allow_deletes=True,
    )
    print(json.dumps(dataclasses.asdict(report)), flush=True)
    store.close()


if __name__ == "__main__":
    build(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
