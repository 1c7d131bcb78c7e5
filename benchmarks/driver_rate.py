"""How many documents per second the driver of a Ray build can feed, by who writes.

    python benchmarks/driver_rate.py [--documents 40000] [--workers 2]

Encoder (a hash) and store (a dictionary in each process) cost next to nothing, so what is left is
the driver: reading what workers parsed, hashing, ids, and handing out; where it writes itself,
looking up and writing, too. Its CPU time is the figure that holds on a busy machine. Ray's start is
not within.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.build_fixtures import BUILD, COLLECTION, Letters, make_collection
from tests.dict_store import DictStore
from tests.hash_encoder import HashEncoder

from reindex.build import converge
from reindex.config import BuildSettings, SourceSettings
from reindex.corpus.sources import FileSource
from reindex.distributed import Cluster, Reading, joined
from reindex.distributed.hands import PooledHands
from reindex.protocols import Store

DIM = 384


def encoder(_threads: int = 1) -> HashEncoder:
    return HashEncoder(DIM)


def store() -> DictStore:
    made = DictStore()
    make_collection(made, encoder())
    return made


class Driver(DictStore):
    """Of the driver: says that it holds what workers wrote."""

    documents = 0

    def count(self, name: str, *, unstamped: bool = False) -> int:
        return self.documents or super().count(name, unstamped=unstamped)


def write_corpus(file: Path, documents: int) -> None:
    with file.open("w", encoding="utf-8") as out:
        for number in range(documents):
            text = f"document {number} " + "some words of a text " * 23
            out.write(json.dumps({"_id": f"d{number}", "text": text}) + "\n")


def measure(
    source: FileSource, documents: int, workers: int, *, by_workers: bool
) -> tuple[float, float]:
    """Documents per second, and per second of the driver's CPU time: what it could feed."""
    driver = Driver()
    make_collection(driver, encoder())
    driver.documents = documents if by_workers else 0
    opener: Callable[[], Store] = partial(store)
    with joined(Cluster(workers=workers, cpus=1), encoder, encoder()) as pooled:
        started, cpu = time.perf_counter(), time.process_time()
        report = converge(
            Reading(workers)(source), pooled, driver, COLLECTION, build=BUILD, rev=1,
            dead=Letters(), settings=BuildSettings(), batch_size=pooled.batch_size,
            crew=PooledHands(pooled, opener) if by_workers else None,
        )  # fmt: skip
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert report.inserted == documents, report
    return documents / seconds, documents / cpu


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=40_000)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    paths = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "corpus.jsonl"
        write_corpus(file, asked.documents)
        source = FileSource(SourceSettings(kind="jsonl", path=file), file.parent)
        rates = {
            who: measure(source, asked.documents, asked.workers, by_workers=who == "workers")
            for who in ("driver", "workers")
        }
    for who, (rate, limit) in rates.items():
        print(f"the {who} write: {rate:,.0f} documents/s; the driver's CPU: {limit:,.0f}")
    print(f"ratio of the driver's limits: {rates['workers'][1] / rates['driver'][1]:.2f}")


if __name__ == "__main__":
    importlib.import_module("driver_rate").main()  # under a name that workers can import
