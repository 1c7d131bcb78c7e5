"""The formulas of docs/scale.md, against figures worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from reindex.sizing import (
    Constants,
    Move,
    actors_for,
    needs,
    rate_of_an_actor,
    wire_of_a_point,
)

MINE = Constants(
    encode_per_s=100,
    build_efficiency=0.9,
    read_jsonl_per_s=50_000,
    insert_per_s=5_000,
    unchanged_per_s=10_000,
    driver_per_s=50_000,
    wire_fixed_bytes=300,
    lookup_bytes=500,
    seen_bytes=8,
    points_per_shard=10e6,
)
MOVE = Move(
    36_000_000, dim=384, prefix_dim=128, payload_bytes=1_000, copies=2, collections=2, actors=10,
    node_memory=50e9, node_disk=1e12, actor_price=0.1, node_price=1.0, keep_days=1,
)  # fmt: skip


def test_the_figures_of_a_move() -> None:
    found = needs(MOVE, MINE)
    assert found.per_actor == 90
    assert found.build_hours == pytest.approx(36e6 / 900 / 3600)
    assert found.pass_hours == pytest.approx(0.2)  # the driver's 50,000/s, not 100,000
    assert found.memory == pytest.approx(36e6 * 512 * 1.5)
    assert found.disk == MOVE.shape.disk
    assert (found.total_memory, found.total_disk) == (4 * found.memory, 4 * found.disk)
    assert found.nodes == 4  # 111 GB of memory, of which 35 fit on one
    assert found.shards == 4  # at least 3.6, as many on each node
    assert found.build_network == pytest.approx(36e6 * (500 + 2 * (2048 + 300 + 1000)))
    assert found.pass_network == pytest.approx(18e9)
    assert (found.driver_memory, found.driver_disk) == (288e6, 1800e6)
    hours = found.build_hours
    assert found.cost == pytest.approx(hours * 10 * 0.1 + (hours + 24) * 4 * 1.0)


def test_the_slowest_stage_decides() -> None:
    fast = replace(MINE, encode_per_s=1e6)
    assert rate_of_an_actor(fast) == 5_000
    assert rate_of_an_actor(replace(fast, insert_per_s=1e6)) == 50_000


def test_actors_for_a_deadline_meet_it_and_one_less_does_not() -> None:
    actors = actors_for(MOVE.documents, 5.0, MINE)
    assert needs(replace(MOVE, actors=actors), MINE).build_hours <= 5
    assert needs(replace(MOVE, actors=actors - 1), MINE).build_hours > 5


def test_past_what_the_driver_hands_out_actors_bring_nothing() -> None:
    enough, more = (replace(MOVE, actors=actors) for actors in (556, 1000))  # 90/s each
    assert needs(enough, MINE).build_hours == needs(more, MINE).build_hours == pytest.approx(0.2)
    with pytest.raises(ValueError, match=r"36,000,000 documents.*0.2 hours at least"):
        actors_for(MOVE.documents, 0.1, MINE)


def test_the_disk_may_decide_how_many_nodes() -> None:
    small = replace(MOVE, node_disk=100e9)
    assert needs(small, MINE).nodes == math.ceil(4 * MOVE.shape.disk / 100e9) > 4


def test_quantization_saves_nodes() -> None:
    moves = [replace(MOVE, quantization=kind) for kind in ("binary", "scalar", "none")]
    memory = [needs(move, MINE).memory for move in [*moves, replace(MOVE, prefix_dim=None)]]
    assert memory == sorted(memory)
    assert memory[1] * 4 == memory[2]


def test_without_a_prefix_nothing_of_it_is_sent() -> None:
    single = replace(MOVE, prefix_dim=None)
    assert wire_of_a_point(MOVE, MINE) - wire_of_a_point(single, MINE) == 512


def test_every_copy_has_a_node_and_small_moves_one_shard_on_each() -> None:
    found = needs(Move(1_000, copies=3), MINE)
    assert (found.nodes, found.shards) == (3, 3)
