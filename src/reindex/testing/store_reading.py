"""The conformance suite, second part: scrolling, searching, threads, opening again."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reindex.errors import FilterRefused, StoreError
from reindex.records import Layout, Payload, PointId, SearchPlan, Vector
from reindex.testing.points import (
    PREFIX_DIM,
    assert_near,
    point,
    points,
    seen_of,
    stamp,
    unit_vectors,
    uuid_of,
)
from reindex.testing.world import World

COUNT = 200
_STOCKED = pytest.StashKey[dict[str, tuple[World, str]]]()


def _oracle(vectors: Vector, query: Vector, k: int) -> list[int]:
    return [int(i) for i in np.argsort(-(vectors @ query), kind="stable")[:k]]


class Scroll:
    """The order of ids, and what a page brings."""

    @pytest.mark.parametrize("page", [1, 3, 7, 100])
    def test_integers_then_uuids_ascending(self, world: World, page: int) -> None:
        name = world.made()
        uuids = [uuid_of(i) for i in range(6)]
        ids: list[PointId] = [uuids[0], 10, 9, *uuids[1:], 2**63, 0]
        world.store.insert(name, points(ids))
        pages = list(world.store.scroll(name, page=page))
        assert [p.id for one in pages for p in one] == [0, 9, 10, 2**63, *sorted(uuids)]
        assert all(0 < len(one) <= page for one in pages)

    def test_it_begins_anywhere(self, world: World) -> None:
        name = world.made()
        first, second, third = sorted(uuid_of(i) for i in range(3))
        world.store.insert(name, points([0, 7, first, third]))
        rest: dict[PointId, list[PointId]] = {
            0: [0, 7, first, third], 1: [7, first, third], 8: [first, third],
            first: [first, third], second: [third], third: [third],
        }  # fmt: skip
        for start, expected in rest.items():
            pages = world.store.scroll(name, page=2, start=start)
            assert [p.id for one in pages for p in one] == expected

    def test_it_brings_what_was_asked_for(self, world: World) -> None:
        name, vectors = world.made(), unit_vectors(2)
        world.store.insert(name, points([1, 2], vectors))
        [[bare, _]] = world.store.scroll(name)
        assert (bare.payload, bare.vector, bare.stamp) == ({}, None, stamp("doc-1"))
        [[_, rich]] = world.store.scroll(name, with_payload=True, with_vector=True)
        assert rich.payload == {"text": "text 2"}
        assert_near(rich.vector, vectors[1])

    def test_an_empty_collection_has_no_pages(self, world: World) -> None:
        assert list(world.store.scroll(world.made())) == []


def _payload(i: int) -> Payload:
    """``maybe`` is not there, null, an empty list or a text, in turns."""
    maybe: Payload = ({}, {"maybe": None}, {"maybe": []}, {"maybe": "x"})[i % 4]
    return {"n": i, "kind": "abc"[i % 3], "meta": {"half": i % 2 == 0}, **maybe}


def _stock(world: World, layout: Layout) -> str:
    name = world.made(layout, layout=layout)
    world.store.insert(
        name,
        [point(i, row, _payload(i)) for i, row in enumerate(unit_vectors(COUNT))],
    )
    return name


def _negated(times: int) -> dict[str, Any]:
    return {"$not": _negated(times - 1)} if times else {"n": 1}


class Search:
    """Against brute force: exact, in two stages, filtered."""

    @pytest.fixture(params=["two-stage", "single"])
    def stocked(
        self, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> tuple[World, str]:
        """A collection that the tests of search only read; one per class and layout.

        Kept with the class's node: fixtures of class scope cannot use ``self``.
        """
        node = request.node.getparent(pytest.Class)
        made: dict[str, tuple[World, str]] = node.stash.setdefault(_STOCKED, {})
        if request.param not in made:
            opening = contextlib.contextmanager(self.open_world)
            opened = opening(tmp_path_factory.mktemp("store"))
            world = opened.__enter__()
            node.addfinalizer(lambda: opened.__exit__(None, None, None))
            made[request.param] = (world, _stock(world, request.param))
        return made[request.param]

    def open_world(self, folder: Path) -> Iterator[World]:
        """See `stores.StoreSuite`."""
        raise NotImplementedError

    @pytest.mark.parametrize(
        "plan",
        [
            SearchPlan(exact=True),
            SearchPlan(k=3, exact=True, offset=4),
            SearchPlan(two_stage=True, oversampling=COUNT),
            SearchPlan(k=5, offset=3, two_stage=True, oversampling=COUNT),
            SearchPlan(two_stage=True, exact=True, oversampling=COUNT, hnsw_ef=200),
        ],
    )
    def test_against_brute_force(self, stocked: tuple[World, str], plan: SearchPlan) -> None:
        world, name = stocked
        vectors = unit_vectors(COUNT)
        for query in unit_vectors(10, seed=3):
            hits = world.store.search(name, query, plan)
            best = _oracle(vectors, query, plan.offset + plan.k)[plan.offset :]
            assert [h.point_id for h in hits] == best
            scores = [h.score for h in hits]
            assert_near(scores, vectors[best] @ query, atol=1e-5)

    def test_a_hit_bears_the_sources_own_id(self, stocked: tuple[World, str]) -> None:
        world, name = stocked
        [hit] = world.store.search(name, unit_vectors(1)[0], SearchPlan(k=1))
        assert (hit.id, hit.point_id) == ("doc-0", 0)
        assert hit.payload == {"n": 0, "kind": "a", "meta": {"half": True}}
        plan = SearchPlan(k=1, with_payload=False)
        [bare] = world.store.search(name, unit_vectors(1)[0], plan)
        assert (bare.id, bare.payload) == ("doc-0", {})

    def test_first_stage_size_is_oversampling_times_k(self, world: World) -> None:
        """What the prefix misses is found only where the first stage is large enough."""
        name = world.made("staged")
        query = unit_vectors(1)[0]
        flipped = query.copy()
        flipped[:PREFIX_DIM] *= -1  # near by its tail, last by its prefix
        near = unit_vectors(30, seed=9) * 0.2 + query
        near[:, PREFIX_DIM:] = -near[:, PREFIX_DIM:]  # near by its prefix, far by its tail
        rows = np.vstack([flipped, near]).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        world.store.insert(name, points(range(31), rows))
        full = world.store.search(name, query, SearchPlan(k=31))
        rank = [h.point_id for h in full].index(0)
        small = SearchPlan(k=10, two_stage=True, oversampling=3)
        large = SearchPlan(k=10, two_stage=True, oversampling=4)
        later = SearchPlan(k=5, offset=rank, two_stage=True, oversampling=40)
        assert 0 not in {h.point_id for h in world.store.search(name, query, small)}
        assert len(world.store.search(name, query, large)) == 10
        assert world.store.search(name, query, later)[0].point_id == 0

    @pytest.mark.parametrize("two_stage", [False, True])
    @pytest.mark.parametrize(
        ("where", "holds"),
        [
            ({"kind": "a"}, lambda i: i % 3 == 0),
            ({"n": 7}, lambda i: i == 7),
            ({"n": 7.0}, lambda i: i == 7),
            ({"meta.half": True}, lambda i: i % 2 == 0),
            ({"kind": ["a", "b"]}, lambda i: i % 3 < 2),
            ({"n": [3, 5, 999]}, lambda i: i in (3, 5)),
            ({"n": [3, 5.0]}, lambda i: i in (3, 5)),
            ({"kind": []}, lambda _: False),
            ({"n": {"gte": 10, "lt": 20}}, lambda i: 10 <= i < 20),
            ({"n": {"gt": 190.5}}, lambda i: i > 190),
            ({"kind": "c", "n": {"lte": 50}}, lambda i: i % 3 == 2 and i <= 50),
            ({"nothing": "x"}, lambda _: False),
            ({"$not": {"kind": "a"}}, lambda i: i % 3 != 0),
            ({"$not": {"nothing": "x"}, "n": {"lt": 9}}, lambda i: i < 9),
            ({"$not": {"kind": "a", "n": {"gte": 9}}}, lambda i: i % 3 != 0 or i < 9),
            ({"$or": [{"kind": "a"}, {"n": {"lt": 9}}]}, lambda i: i % 3 == 0 or i < 9),
            (
                {"kind": ["a", "b"], "$not": {"$or": [{"meta.half": True}, {"n": {"gt": 50}}]}},
                lambda i: i % 3 < 2 and i % 2 == 1 and i <= 50,
            ),
            (
                {"$and": [{"$or": [{"n": 1}, {"n": 2}]}, {"$or": [{"n": 2}, {"n": 3}]}]},
                lambda i: i == 2,
            ),
            ({"maybe": {"empty": True}}, lambda i: i % 4 != 3),
            ({"maybe": {"empty": False}}, lambda i: i % 4 == 3),
            ({"$not": {"maybe": "x"}}, lambda i: i % 4 != 3),
        ],
    )
    def test_filters(
        self, stocked: tuple[World, str], where: Any, holds: Callable[[int], bool], two_stage: bool
    ) -> None:
        world, name = stocked
        query = unit_vectors(1, seed=3)[0]
        plan = SearchPlan(k=COUNT, where=where, two_stage=two_stage, oversampling=1)
        found = {hit.point_id for hit in world.store.search(name, query, plan)}
        assert found == {i for i in range(COUNT) if holds(i)}

    def test_a_filter_holds_in_the_first_stage(self, stocked: tuple[World, str]) -> None:
        """Filtering only the rescored candidates would leave fewer than k."""
        world, name = stocked
        plan = SearchPlan(k=10, where={"n": {"gte": 150}}, two_stage=True, oversampling=1)
        for query in unit_vectors(5, seed=3):
            assert len(world.store.search(name, query, plan)) == 10

    @pytest.mark.parametrize(
        "where",
        [
            {"n": {"near": 3}}, {"n": {}}, {"n": {"gt": "x"}}, {"n": None}, {"n": [None]},
            {"n": 2**63}, {"n": [1, 2**63]}, {"n": float("nan")}, {"n": {"gt": float("inf")}},
            {"n": {"empty": 1}}, {"n": {"empty": True, "gt": 1}},
            {"$not": {"n": None}}, {"$or": [{"n": 1}, {"n": {}}]},
        ],
    )  # fmt: skip
    def test_a_wrong_filter_names_the_right_ones(
        self, stocked: tuple[World, str], where: Any
    ) -> None:
        world, name = stocked
        with pytest.raises(StoreError, match="gt, gte, lt, lte"):
            world.store.search(name, unit_vectors(1)[0], SearchPlan(where=where))

    @pytest.mark.parametrize(
        ("where", "told"),
        [
            ({"$or": []}, "list of conditions"), ({"$or": {"n": 1}}, "list of conditions"),
            ({"$and": [{}]}, "field -> value"), ({"$not": {}}, "field -> value"),
            ({"$nor": [{"n": 1}]}, "nor"), ({"a..b": 1}, "no JSON path"),
            ({"$not": {"a b": 1}}, "in quotes"),
            (_negated(99), "more than"),
        ],
    )  # fmt: skip
    def test_a_wrong_combination_is_told(
        self, stocked: tuple[World, str], where: Any, told: str
    ) -> None:
        world, name = stocked
        with pytest.raises(FilterRefused, match=told):
            world.store.search(name, unit_vectors(1)[0], SearchPlan(where=where))

    @pytest.mark.parametrize(
        "plan", [SearchPlan(k=0), SearchPlan(offset=-1), SearchPlan(oversampling=0)]
    )
    def test_a_senseless_plan_is_refused(
        self, stocked: tuple[World, str], plan: SearchPlan
    ) -> None:
        world, name = stocked
        with pytest.raises(StoreError, match="oversampling >= 1"):
            world.store.search(name, unit_vectors(1)[0], plan)

    def test_k_larger_than_the_collection(self, stocked: tuple[World, str]) -> None:
        world, name = stocked
        plan = SearchPlan(k=1000, two_stage=True)
        assert len(world.store.search(name, unit_vectors(1)[0], plan)) == COUNT


class Lifetime:
    """Closing, opening again, several threads."""

    def test_it_is_what_the_registration_needs(self, world: World) -> None:
        assert isinstance(world.store.kind, str)
        assert isinstance(world.store.local, bool)

    def test_everything_is_there_after_opening_again(self, world: World) -> None:
        if world.reopen is None:
            pytest.skip("this store keeps nothing")
        name, alias, vectors = world.made(version="v1"), world.name("live"), unit_vectors(50)
        world.store.point_alias(alias, name)
        world.store.insert(name, points(range(50), vectors))
        world.store.update(name, points([3], vectors[3:4], rev=2), seen_of([3]))
        world.store.delete(name, {4: stamp("doc-4")})
        world.store.flush(name)
        again = world.reopen()
        try:
            assert again.info(name).points == 49
            assert again.info(name).metadata == {"version": "v1"}
            assert again.aliases()[alias] == name
            assert set(again.retrieve(name, range(50))) == {*range(50)} - {4}
            assert again.retrieve(name, [3])[3].stamp == stamp("doc-3", rev=2)
            for plan in (SearchPlan(k=1, two_stage=True), SearchPlan(k=1, exact=True)):
                assert [hit.id for hit in again.search(name, vectors[7], plan)] == ["doc-7"]
                assert again.search(name, vectors[4], plan)[0].id != "doc-4"
        finally:
            again.close()

    def test_a_closed_store_may_be_closed_again(self, world: World) -> None:
        world.store.close()
        world.store.close()

    def test_threads_search_while_another_writes(self, world: World) -> None:
        if not world.threads:
            pytest.skip("this store is not made for several threads")
        name, vectors = world.made(), unit_vectors(600)
        world.store.insert(name, points(range(100), vectors[:100]))
        failures: list[BaseException] = []
        written = threading.Event()

        def search() -> None:
            plan = SearchPlan(k=1, two_stage=True, oversampling=10)
            try:
                while not written.is_set():
                    for id in range(0, 100, 7):
                        [hit] = world.store.search(name, vectors[id], plan)
                        assert hit.point_id == id
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=search) for _ in range(3)]
        for thread in threads:
            thread.start()
        for start in range(100, 600, 50):
            world.store.insert(name, points(range(start, start + 50), vectors[start : start + 50]))
            world.store.flush(name)
        written.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert world.store.count(name) == 600
