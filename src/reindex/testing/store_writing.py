"""The conformance suite, first part: collections, aliases, writes, and what others wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reindex.errors import AliasConflict, CollectionExists, CollectionNotFound, StoreError
from reindex.protocols import Store
from reindex.records import Layout, PayloadChange, PointId, SearchPlan, Vector
from reindex.stores.layout import prefix_of
from reindex.testing.points import (
    DIM,
    PREFIX_DIM,
    assert_near,
    point,
    points,
    seen_of,
    spec,
    stamp,
    unit_vectors,
    uuid_of,
)
from reindex.testing.world import World


class Collections:
    """Making, describing and dropping them."""

    @pytest.mark.parametrize("layout", ["two-stage", "single"])
    def test_a_new_collection_is_empty_and_as_ordered(self, world: World, layout: Layout) -> None:
        name = world.made(layout=layout, space="s1", version="v1")
        info = world.store.info(name)
        assert (info.name, info.points, info.dim, info.layout) == (name, 0, DIM, layout)
        assert info.prefix_dim == (PREFIX_DIM if layout == "two-stage" else None)
        assert info.metadata == {"space": "s1", "version": "v1"}
        assert name in world.store.collections()

    def test_a_name_is_given_once(self, world: World) -> None:
        name = world.made(version="v1")
        with pytest.raises(CollectionExists, match=name):
            world.store.create(spec(name, version="v2"))
        assert world.store.info(name).metadata == {"version": "v1"}

    @pytest.mark.parametrize(("layout", "prefix"), [("two-stage", None), ("single", 8)])
    def test_a_contradicting_spec_is_refused(
        self, world: World, layout: Layout, prefix: int | None
    ) -> None:
        with pytest.raises(StoreError, match="prefix_dim"):
            world.store.create(replace(spec(world.name(), layout), prefix_dim=prefix))
        assert world.name() not in world.store.collections()

    def test_metadata_merge_shallowly(self, world: World) -> None:
        name = world.made(space="s1", nested={"a": 1})
        world.store.set_metadata(name, {"build": "b1", "nested": {"b": 2}})
        expected = {"space": "s1", "build": "b1", "nested": {"b": 2}}
        assert world.store.info(name).metadata == expected

    def test_a_dropped_collection_is_gone_and_its_name_free(self, world: World) -> None:
        name = world.made(version="v1")
        world.store.insert(name, points([1]))
        world.store.drop(name)
        assert name not in world.store.collections()
        with pytest.raises(CollectionNotFound, match=name):
            world.store.count(name)
        world.made(version="v2")
        assert world.store.info(name).metadata == {"version": "v2"}
        assert world.store.count(name) == 0

    @pytest.mark.parametrize(
        "use",
        [
            lambda s, n: s.info(n),
            lambda s, n: s.drop(n),
            lambda s, n: s.set_metadata(n, {"a": 1}),
            lambda s, n: s.point_alias("live", n),
            lambda s, n: s.insert(n, points([1])),
            lambda s, n: s.update(n, points([1]), {1: None}),
            lambda s, n: s.update_payload(n, [PayloadChange(1, {}, stamp(1))], {1: None}),
            lambda s, n: s.delete(n, {1: stamp(1)}),
            lambda s, n: s.retrieve(n, [1]),
            lambda s, n: s.scroll(n),
            lambda s, n: s.missing_vectors(n),
            lambda s, n: s.search(n, unit_vectors(1)[0], SearchPlan()),
            lambda s, n: s.count(n),
            lambda s, n: s.flush(n),
        ],
    )
    def test_an_unknown_collection_is_an_error(
        self, world: World, use: Callable[[Store, str], Any]
    ) -> None:
        with pytest.raises(CollectionNotFound, match="nowhere"):
            use(world.store, "nowhere")


class Aliases:
    """The names that searches use."""

    def test_an_alias_is_pointed_and_moved(self, world: World) -> None:
        first, second, alias = world.made("v1"), world.made("v2"), world.name("live")
        world.store.point_alias(alias, first)
        assert world.store.aliases()[alias] == first
        world.store.point_alias(alias, second)
        assert world.store.aliases()[alias] == second

    def test_alias_and_collection_cannot_share_a_name(self, world: World) -> None:
        first, second, alias = world.made("v1"), world.made("v2"), world.name("live")
        with pytest.raises(AliasConflict, match="collection"):
            world.store.point_alias(second, first)
        world.store.point_alias(alias, first)
        with pytest.raises(AliasConflict, match="alias"):
            world.store.create(spec(alias))

    def test_a_live_collection_is_not_dropped(self, world: World) -> None:
        first, second, alias = world.made("v1"), world.made("v2"), world.name("live")
        world.store.point_alias(alias, first)
        with pytest.raises(AliasConflict, match=alias):
            world.store.drop(first)
        world.store.point_alias(alias, second)
        world.store.drop(first)
        assert world.store.aliases()[alias] == second

    def test_an_alias_is_not_taken_for_a_collection(self, world: World) -> None:
        name, alias = world.made(), world.name("live")
        world.store.point_alias(alias, name)
        assert alias not in world.store.collections()
        for use in (world.store.info, world.store.count, world.store.drop, world.store.scroll):
            with pytest.raises(CollectionNotFound, match=alias):
                use(alias)


class Writes:
    """Insert-only, update-only and conditional writes."""

    @pytest.mark.parametrize("layout", ["two-stage", "single"])
    def test_what_is_inserted_comes_back(self, world: World, layout: Layout) -> None:
        name, vectors = world.made(layout=layout), unit_vectors(3)
        ids: list[PointId] = [7, 2**63 - 1, uuid_of(1)]
        written = points(ids, vectors)
        world.store.insert(name, written)
        found = world.store.retrieve(name, [*ids, 8], with_payload=True, with_vector=True)
        assert set(found) == set(ids)
        for one in written:
            assert found[one.id].payload == one.payload
            assert found[one.id].stamp == one.stamp
            assert_near(found[one.id].vector, one.vector)
        assert world.store.count(name) == world.store.info(name).points == 3

    def test_a_read_brings_what_was_asked_for_and_the_stamp(self, world: World) -> None:
        name = world.made()
        world.store.insert(name, points([1]))
        bare = world.store.retrieve(name, [1])[1]
        assert (bare.payload, bare.vector, bare.stamp) == ({}, None, stamp("doc-1"))
        assert world.store.retrieve(name, []) == {}

    def test_the_prefix_is_derived_from_the_full_vector(self, world: World) -> None:
        name, vectors = world.made(), unit_vectors(20)
        world.store.insert(name, points(range(20), vectors))
        best = SearchPlan(k=1, two_stage=True, oversampling=1)
        for id, vector in enumerate(vectors):
            assert world.store.search(name, vector, best)[0].point_id == id

    def test_insert_leaves_what_exists(self, world: World) -> None:
        name, old, new = world.made(), unit_vectors(2, seed=1), unit_vectors(3, seed=2)
        world.store.insert(name, points([1, 2], old))
        world.store.insert(name, points([1, 2, 3], new, rev=2))
        found = world.store.retrieve(name, [1, 2, 3], with_vector=True)
        assert [found[i].stamp.rev for i in (1, 2, 3)] == [1, 1, 2]  # type: ignore[union-attr]
        assert_near(found[1].vector, old[0])

    def test_update_overwrites_what_is_as_it_was_seen(self, world: World) -> None:
        name, new = world.made(), unit_vectors(2, seed=2)
        world.store.insert(name, points([1]))
        world.store.insert(name, points([2], build="b0", rev=5))
        seen = {**seen_of([1]), **seen_of([2], build="b0", rev=5)}
        world.store.update(name, points([1, 2], new, build="b2", rev=9), seen)
        found = world.store.retrieve(name, [1, 2], with_vector=True)
        for i in (1, 2):
            assert found[i].stamp == stamp(f"doc-{i}", build="b2", rev=9)
            assert_near(found[i].vector, new[i - 1])

    @pytest.mark.parametrize("seen", [stamp(1, rev=2), stamp(1, build="b0"), None])
    def test_update_leaves_what_changed_in_between(self, world: World, seen: Any) -> None:
        name = world.made()
        world.store.insert(name, points([1]))
        world.store.update(name, points([1], unit_vectors(1, seed=2), rev=9), {1: seen})
        change = PayloadChange(1, {"text": "new"}, stamp("doc-1", rev=9))
        world.store.update_payload(name, [change], {1: seen})
        if seen is not None:
            world.store.delete(name, {1: seen})
        found = world.store.retrieve(name, [1], with_payload=True)[1]
        assert (found.stamp, found.payload) == (stamp("doc-1"), {"text": "text 1"})

    def test_update_inserts_nothing(self, world: World) -> None:
        name = world.made()
        world.store.insert(name, points([1]))
        world.store.update(name, points([1, 2], rev=2), {1: stamp(1), 2: stamp(2)})
        world.store.update(name, points([3], rev=2), {3: None})
        change = PayloadChange(4, {}, stamp(4))
        world.store.update_payload(name, [change], {4: stamp(4)})
        assert world.ids(name) == [1]
        assert world.store.retrieve(name, [1])[1].stamp == stamp("doc-1", rev=2)

    def test_update_wants_to_know_what_was_seen(self, world: World) -> None:
        name = world.made()
        world.store.insert(name, points([1, 2]))
        with pytest.raises(StoreError, match="point 2"):
            world.store.update(name, points([1, 2], rev=2), {1: stamp(1)})
        assert world.store.retrieve(name, [1])[1].stamp == stamp("doc-1")

    def test_a_payload_change_keeps_the_vectors(self, world: World) -> None:
        name, vectors = world.made(), unit_vectors(3)
        world.store.insert(name, points([1, 2, 3], vectors))
        changes = [PayloadChange(i, {"tenant": "b"}, stamp(i, rev=2)) for i in (1, 2)]
        world.store.update_payload(name, changes, {1: stamp(1), 2: stamp(2)})
        found = world.store.retrieve(name, [1, 2, 3], with_payload=True, with_vector=True)
        assert [found[i].payload for i in (1, 2, 3)] == [
            {"tenant": "b"},
            {"tenant": "b"},
            {"text": "text 3"},
        ]
        assert found[1].stamp == stamp(1, rev=2)
        assert_near(found[1].vector, vectors[0])
        assert world.store.missing_vectors(name) == set()

    def test_delete_takes_what_is_as_it_was_seen(self, world: World) -> None:
        name, mixed = world.made(), uuid_of(1)
        world.store.insert(name, points([1, 2, 3, mixed]))
        world.store.insert(name, points([4], rev=7))
        seen: dict[PointId, Any] = {1: stamp(1), 2: stamp(2, rev=2), mixed: stamp(1)}
        world.store.delete(name, {**seen, 4: stamp(4, rev=7), 99: stamp(99)})
        assert world.ids(name) == [2, 3]

    def test_delete_takes_an_unstamped_point_while_it_bears_none(self, world: World) -> None:
        if world.write_raw is None:
            pytest.skip("this world has no other client")
        name = world.made("c", "single")
        world.store.insert(name, points([1, 2]))
        world.write_raw(name, 3, {"": unit_vectors(1)[0].tolist()}, {"text": "plain"})
        world.store.delete(name, {1: None, 3: None})
        assert world.ids(name) == [1, 2]

    def test_empty_writes_do_nothing(self, world: World) -> None:
        name = world.made()
        world.store.insert(name, [])
        world.store.update(name, [], {})
        world.store.update_payload(name, [], {})
        world.store.delete(name, {})
        assert world.store.count(name) == 0

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (np.full(DIM, np.nan, np.float32), "length nan"),
            (np.zeros(DIM, np.float32), "length 0"),
            (np.ones(DIM, np.float32), "length 4"),
            (unit_vectors(1, DIM - 1)[0], r"shape \(15,\)"),
        ],
    )
    def test_a_bad_vector_is_refused_before_anything_is_written(
        self, world: World, bad: Vector, reason: str
    ) -> None:
        name, good = world.made(), unit_vectors(2)
        world.store.insert(name, points([1]))
        several = [point(1, good[0], rev=2), point(2, good[1]), point(3, bad)]
        seen = seen_of([1, 2, 3])
        with pytest.raises(StoreError, match=f"point 3.*{reason}"):
            world.store.insert(name, several)
        with pytest.raises(StoreError, match=f"point 3.*{reason}"):
            world.store.update(name, several, seen)
        with pytest.raises(StoreError, match=reason):
            world.store.search(name, bad, SearchPlan())
        assert world.ids(name) == [1]
        assert world.store.retrieve(name, [1])[1].stamp == stamp("doc-1")

    def test_batches_larger_than_a_request(self, world: World) -> None:
        name, count = world.made(), 1300
        world.store.insert(name, points(range(count)))
        seen = seen_of(range(count))
        world.store.update(name, points(range(count), rev=2), seen)
        found = world.store.retrieve(name, range(count))
        assert {s.stamp.rev for s in found.values() if s.stamp} == {2}
        world.store.delete(name, {i: stamp(i, rev=2) for i in range(1, count)})
        assert world.ids(name) == [0]


class ForeignPoints:
    """Points that another client wrote: no stamp, perhaps no prefix."""

    @pytest.fixture
    def name(self, world: World) -> str:
        if world.write_raw is None:
            pytest.skip("nobody but reindex can write to this store")
        name = world.made()
        world.store.insert(name, points([1]))
        full = unit_vectors(1, seed=5)[0]
        both = {"": full.tolist(), "prefix": prefix_of(full, PREFIX_DIM).tolist()}
        world.write_raw(name, 2, {"": full.tolist()}, {"page_content": "foreign"})
        world.write_raw(name, uuid_of(3), both, {"_reindex": {"build": "b1", "rev": 1}})
        return name

    def test_they_are_read_without_a_stamp(self, world: World, name: str) -> None:
        found = world.store.retrieve(name, [2, uuid_of(3)], with_payload=True, with_vector=True)
        assert (found[2].stamp, found[2].payload) == (None, {"page_content": "foreign"})
        assert found[2].vector is not None
        assert found[uuid_of(3)].stamp is None  # half a stamp is none

    def test_they_are_found_where_a_vector_is_missing(self, world: World, name: str) -> None:
        assert world.store.missing_vectors(name) == {2}

    def test_those_without_a_stamp_are_counted(self, world: World, name: str) -> None:
        assert world.store.count(name) == 3
        assert world.store.count(name, unstamped=True) == 1  # half a stamp is not none

    def test_two_stage_search_does_not_see_them(self, world: World, name: str) -> None:
        query = unit_vectors(1, seed=5)[0]
        full = world.store.search(name, query, SearchPlan(k=5))
        staged = world.store.search(name, query, SearchPlan(k=5, two_stage=True))
        assert {h.id for h in full} == {"doc-1", 2, uuid_of(3)}
        assert {h.id for h in staged} == {"doc-1", uuid_of(3)}

    def test_they_are_mended_where_they_still_bear_no_stamp(self, world: World, name: str) -> None:
        ids: list[PointId] = [1, 2, uuid_of(3)]
        world.store.update(name, points(ids, rev=2), dict.fromkeys(ids))
        found = world.store.retrieve(name, ids)
        assert [found[i].stamp.rev for i in ids] == [1, 2, 2]  # type: ignore[union-attr]
        assert world.store.missing_vectors(name) == set()

    def test_their_payload_is_overwritten(self, world: World, name: str) -> None:
        change = PayloadChange(2, {"text": "mine"}, stamp("doc-2"))
        world.store.update_payload(name, [change], {2: None})
        found = world.store.retrieve(name, [2], with_payload=True)[2]
        assert (found.stamp, found.payload) == (stamp("doc-2"), {"text": "mine"})
