"""How fast a search is: full exact, full, and two-stage at several oversamplings.

    python benchmarks/search_latency.py --points 20000 100000

Clustered random vectors whose variance decays over the dimensions, as Matryoshka training makes
it: so their prefixes carry signal. One process, the embedded store as a build leaves it, or with
``--optimize`` as it is after building the graphs. Ratios are to the first row.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reindex.records import CollectionSpec, Hit, Point, SearchPlan, Stamp, Vector
from reindex.stores.edge import EdgeStore

NAME = "bench"
PLANS = {
    "full, exact": SearchPlan(exact=True),
    "full": SearchPlan(),
    "two-stage, oversampling 4": SearchPlan(two_stage=True, oversampling=4),
    "two-stage, oversampling 10": SearchPlan(two_stage=True, oversampling=10),
    "two-stage, oversampling 40": SearchPlan(two_stage=True, oversampling=40),
}


@dataclass(frozen=True, slots=True)
class Row:
    """What one plan took, in milliseconds, and its share of the exact top 10."""

    p50: float
    p99: float
    overlap: float


class OneCollection:
    """As much of a ``protocols.Catalog`` as one collection without an alias needs."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}

    def aliases(self) -> dict[str, str]:
        return {}

    def set_alias(self, alias: str, collection: str) -> None:
        raise NotImplementedError(f"{alias} -> {collection}: there are no aliases here")

    def collection_metadata(self, name: str) -> dict[str, Any] | None:
        return self.known.get(name)

    def merge_collection_metadata(self, name: str, metadata: Mapping[str, Any]) -> None:
        self.known.setdefault(name, {}).update(metadata)

    def forget_collection(self, name: str) -> None:
        self.known.pop(name, None)

    def record_owner(self, name: str, pid: int) -> None:
        self.known[name]["owner"] = pid

    def owner(self, name: str) -> int | None:
        return self.known[name].get("owner")

    def project_owner(self) -> str | None:
        return None


class Clusters:
    """Unit vectors around random centres, earlier dimensions wider than later ones."""

    def __init__(self, dim: int, centres: int = 100, seed: int = 13) -> None:
        self.rng = np.random.default_rng(seed)
        # the first third of the dimensions holds half of the variance
        self.scale = (np.arange(1, dim + 1) ** -0.2).astype(np.float32)
        self.centres = self.rng.standard_normal((centres, dim), dtype=np.float32) * self.scale

    def draw(self, count: int) -> Vector:
        chosen = self.centres[self.rng.integers(len(self.centres), size=count)]
        noise = self.rng.standard_normal(chosen.shape, dtype=np.float32) * self.scale
        rows: Vector = chosen + 1.5 * noise
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows


@contextmanager
def stocked(clusters: Clusters, count: int, prefix_dim: int) -> Iterator[EdgeStore]:
    dim = len(clusters.scale)
    with tempfile.TemporaryDirectory() as folder:
        store = EdgeStore(Path(folder), OneCollection())
        store.create(CollectionSpec(NAME, dim, "two-stage", prefix_dim, {}))
        for start in range(0, count, 4096):
            rows = clusters.draw(min(4096, count - start))
            store.insert(NAME, [_point(start + i, row) for i, row in enumerate(rows)])
            store.flush(NAME)
        yield store
        store.close()


def _point(number: int, row: Vector) -> Point:
    stamp = Stamp(number, "s", "e", "b", "bench", "t", "p", 1)
    return Point(number, row, {"text": f"document {number}"}, stamp)


def measure(store: EdgeStore, queries: Vector) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    truth: list[set[int | str]] = []
    for label, plan in PLANS.items():
        for query in queries[:10]:
            store.search(NAME, query, plan)  # warm the page cache
        took, hits = zip(*(_timed(store, query, plan) for query in queries), strict=True)
        found = [{hit.id for hit in one} for one in hits]
        truth = truth or found
        shared = [len(a & b) / len(a) for a, b in zip(truth, found, strict=True)]
        p50, p99 = np.quantile(np.array(took) * 1e3, [0.5, 0.99])
        rows[label] = Row(float(p50), float(p99), float(np.mean(shared)))
    return rows


def _timed(store: EdgeStore, query: Vector, plan: SearchPlan) -> tuple[float, list[Hit]]:
    start = time.perf_counter()
    hits = store.search(NAME, query, plan)
    return time.perf_counter() - start, hits


def table(title: str, rows: dict[str, Row]) -> str:
    first = next(iter(rows.values()))
    lines = [title, f"{'':28}{'p50 ms':>9}{'p99 ms':>9}{'ratio':>8}{'overlap@10':>12}"]
    lines += [
        f"{label:28}{row.p50:9.2f}{row.p99:9.2f}{first.p50 / row.p50:7.1f}x{row.overlap:12.3f}"
        for label, row in rows.items()
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--prefix-dim", type=int, default=128)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--optimize", action="store_true", help="build the graphs first")
    given = parser.parse_args()
    for count in given.points:
        clusters = Clusters(given.dim)
        queries = clusters.draw(given.queries)
        with stocked(clusters, count, given.prefix_dim) as store:
            if given.optimize:
                store.optimize(NAME, at_least=0)
            title = f"\n{count:,} points, {given.dim} + {given.prefix_dim} dimensions"
            sys.stdout.write(table(title, measure(store, queries)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
