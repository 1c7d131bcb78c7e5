"""Calibration of two-stage search on the embedded store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reindex.errors import ComparisonError
from reindex.evaluation.calibrate import choose_oversampling
from reindex.evaluation.compare import Side
from reindex.records import Point, SearchPlan, Stamp, Vector
from tests.comparison_fixtures import DIM, PREFIX, WordEncoder, World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def better(world: World) -> Side:
    return world.build("v2", WordEncoder(1.0))


def test_calibration_takes_the_smallest_oversampling_that_keeps_enough(
    world: World, better: Side
) -> None:
    vectors = better.encoder.encode_queries([q.text for q in world.judgements.queries])
    found = choose_oversampling(world.store, better.collection, vectors, keep=0.99)
    assert found.kept
    assert (found.oversampling, found.overlap) == found.table[-1]
    assert found.overlap >= 0.99
    assert all(overlap < 0.99 for _, overlap in found.table[:-1])
    assert len(found.table) > 1
    assert found.overlap == pytest.approx(
        overlap_by_ids(world, better, vectors, found.oversampling), abs=0.002
    )


def overlap_by_ids(world: World, side: Side, vectors: Vector, oversampling: int) -> float:
    plans = SearchPlan(exact=True), SearchPlan(two_stage=True, oversampling=oversampling)
    shares = []
    for vector in vectors:
        exact, found = (
            {hit.id for hit in world.store.search(side.collection, vector, plan)} for plan in plans
        )
        shares.append(len(exact & found) / len(exact))
    return float(np.mean(shares))


def test_calibration_says_so_where_nothing_keeps_enough(world: World, better: Side) -> None:
    vectors = better.encoder.encode_queries([q.text for q in world.judgements.queries])
    found = choose_oversampling(
        world.store, better.collection, vectors, keep=0.99, candidates=(2, 1)
    )
    assert not found.kept
    assert found.oversampling == 2
    assert [row[0] for row in found.table] == [1, 2]


def test_equally_good_results_are_no_loss_in_calibration(tmp_path: Path) -> None:
    """Ten documents score alike on full vectors; the first stage sees one half of them first."""
    flat = make_world(tmp_path, documents=1, queries=1)
    side = flat.build("v1", WordEncoder(0.0))
    for number in range(20):
        vector = np.zeros(DIM, dtype=np.float32)
        near, far = (0.52, 0.8) if number < 10 else (0.8, 0.52)
        vector[[0, 1, PREFIX]] = near, np.sqrt(1 - near**2 - far**2), far
        stamp = Stamp(number, side.encoder.space, "", "", "", "", "", 1)
        flat.store.insert(side.collection, [Point(100 + number, vector, {}, stamp)])
    query = np.zeros((1, DIM), dtype=np.float32)
    query[0, [0, PREFIX]] = np.sqrt(0.5)
    found = choose_oversampling(flat.store, side.collection, query, k=10, candidates=(1, 64))
    assert (found.oversampling, found.overlap) == (1, 1.0)
    assert overlap_by_ids(flat, side, query, 1) == 0.0


def test_calibration_needs_a_first_stage(world: World, better: Side) -> None:
    side = world.build("flat", WordEncoder(0.6), layout="single")
    vectors = side.encoder.encode_queries(["w1"])
    with pytest.raises(ComparisonError, match="'single'"):
        choose_oversampling(world.store, side.collection, vectors)
    with pytest.raises(ComparisonError, match="0 query vectors"):
        choose_oversampling(world.store, better.collection, vectors[:0])
