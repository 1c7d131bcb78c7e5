"""A graph that is searched too narrowly, on the embedded engine: named, and mended by tuning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from reindex.config import EvaluationSettings, GateSettings
from reindex.evaluation.compare import Side, compare
from reindex.evaluation.front import Ask, measure_front
from reindex.records import CollectionSpec, Judgements, Point, Query, Stamp
from reindex.stores.edge import EdgeStore
from reindex.testing.catalog import MemoryCatalog
from tests.hash_encoder import HashEncoder

pytestmark = pytest.mark.slow

DIM, POINTS, QUERIES = 384, 9_000, 200


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeStore]:
    """Two collections of the same vectors, of which the second has a graph."""
    made = EdgeStore(tmp_path_factory.mktemp("store"), MemoryCatalog())
    encoder = HashEncoder(DIM)
    vectors = encoder.encode_documents([f"document {number}" for number in range(POINTS)])
    for name in ("scanned", "graph"):
        made.create(CollectionSpec(name, DIM, "single", None, {"space": encoder.space}))
        stamps = (Stamp(i, encoder.space, "", name, "", "", "", 1) for i in range(POINTS))
        points = [
            Point(i, vector, {}, stamp)
            for i, (vector, stamp) in enumerate(zip(vectors, stamps, strict=True))
        ]
        made.insert(name, points)
    assert made.optimize("graph", at_least=1)
    yield made
    made.close()


def judgements(encoder: HashEncoder) -> Judgements:
    """The ten true neighbours of each query are its answers."""
    documents = encoder.encode_documents([f"document {number}" for number in range(POINTS)])
    texts = [f"query {number}" for number in range(QUERIES)]
    nearest = np.argsort(-encoder.encode_queries(texts) @ documents.T, axis=1)[:, :10]
    queries = tuple(Query(f"q{i}", text) for i, text in enumerate(texts))
    qrels = {f"q{i}": {str(row): 1 for row in rows} for i, rows in enumerate(nearest)}
    return Judgements(queries, qrels)


def test_a_graph_searched_too_narrowly_is_named(store: EdgeStore) -> None:
    encoder = HashEncoder(DIM)
    live = Side("v1", "scanned", encoder, 10, (DIM,))
    narrow = replace(live, version="v2", collection="graph", hnsw_ef=10)
    settings = EvaluationSettings(resamples=300, subset_documents=500)
    found = compare(store, live, narrow, judgements(encoder), settings, GateSettings()).steps
    assert found is not None
    assert [step.name for step in found.candidate.blamed] == ["index"]
    assert not found.live.blamed
    assert found.cause.name == "index"


def test_tuning_finds_a_width_that_is_enough(store: EdgeStore) -> None:
    vectors = HashEncoder(DIM).encode_queries([f"dev query {number}" for number in range(100)])
    ask = Ask(k=10, target=0.9, asked="")
    front = measure_front(store, "graph", vectors, ask)
    by_ef = {point.hnsw_ef: point.recall for point in front.points}
    assert by_ef[16] < by_ef[128] < by_ef[512]
    assert front.reached
    assert (front.chosen.hnsw_ef or 100) > 16
    scanned = measure_front(store, "scanned", vectors, ask)
    assert [(point.hnsw_ef, point.recall) for point in scanned.points] == [(None, 1.0)]
