"""Anonymous memory of a build of many short documents into the embedded store.

    python benchmarks/build_memory.py [--documents 1000000] [--dim 384] [--prefix 128]

The encoder is a hash, so that the memory of the build and the store alone is seen. Anonymous
memory (``RssAnon`` of /proc/self/status) is sampled by a thread; mapped files are not counted, the
system drops them when it needs the room. Bar: 500 MB for 1,000,000 documents; more exits with 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.build_fixtures import BUILD, COLLECTION, Letters
from tests.hash_encoder import HashEncoder
from tests.store_fixtures import MemoryCatalog

from reindex.build import BuildReport, converge
from reindex.config import BuildSettings
from reindex.protocols import DeadLetterSink
from reindex.records import CollectionSpec, Document
from reindex.stores.edge import EdgeStore

BAR_MB = 500


@dataclass(frozen=True)
class ShortDocuments:
    """``total`` documents of a dozen words, one text in fifty seen before."""

    total: int
    name: str = "synthetic"

    def documents(self, dead: DeadLetterSink) -> Iterator[Document]:  # noqa: ARG002
        for number in range(self.total):
            text = (
                f"short document about topic {number - number % 50 if number % 50 == 7 else number}"
            )
            yield Document(f"doc-{number}", text, {"text": text, "number": number})

    def count(self) -> int | None:
        return self.total


def memory_mb(field: str) -> float:
    """A field of /proc/self/status, which are in kB."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1000
    raise SystemExit(f"This system does not tell {field}; run the benchmark on Linux.")


class Sampler:
    """Remembers the largest anonymous memory while it is entered."""

    def __init__(self, interval: float = 0.05) -> None:
        self.peak_mb = 0.0
        self._interval = interval
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self) -> None:
        while not self._done.wait(self._interval):
            self.peak_mb = max(self.peak_mb, memory_mb("RssAnon"))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()


def show(stage: str, done: int, total: int | None) -> None:
    if sys.stderr.isatty():
        print(
            f"\r{stage} {done:,} of {total:,}  {memory_mb('RssAnon'):.0f} MB",
            end="",
            file=sys.stderr,
        )


def create(store: EdgeStore, encoder: HashEncoder, prefix: int) -> None:
    metadata = {"space": encoder.space, "encoding": encoder.encoding, "build": BUILD}
    store.create(CollectionSpec(COLLECTION, encoder.dim, "two-stage", prefix, metadata))


def build(store: EdgeStore, encoder: HashEncoder, documents: int, rev: int) -> BuildReport:
    return converge(
        ShortDocuments(documents),
        encoder,
        store,
        COLLECTION,
        build=BUILD,
        rev=rev,
        dead=Letters(),
        settings=BuildSettings(),
        batch_size=256,
        progress=show,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--prefix", type=int, default=128)
    options = parser.parse_args()
    highest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        encoder = HashEncoder(options.dim)
        store = EdgeStore(Path(folder), MemoryCatalog())
        create(store, encoder, options.prefix)
        print(f"before     {memory_mb('RssAnon'):6.0f} MB anonymous")
        for rev, label in enumerate(("build", "unchanged"), 1):
            started = time.perf_counter()
            with Sampler() as sampler:
                report = build(store, encoder, options.documents, rev)
            seconds = time.perf_counter() - started
            highest = max(highest, sampler.peak_mb)
            print(
                f"{label:10} {sampler.peak_mb:6.0f} MB anonymous at most (bar {BAR_MB}), "
                f"{memory_mb('VmHWM'):,.0f} MB resident at most; {report.points:,} points, "
                f"{report.inserted:,} inserted, {report.reused:,} vectors reused, {seconds:.0f} s",
                flush=True,
            )
        store.close()
    return 1 if highest > BAR_MB else 0


if __name__ == "__main__":
    sys.exit(main())
