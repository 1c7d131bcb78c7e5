"""Converge on the real stores against a dictionary: any history ends in the source's state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reindex.protocols import Store
from reindex.records import (
    Document,
    Point,
    PointId,
    StoredPoint,
    Vector,
    payload_hash,
    point_id,
    text_hash,
)
from tests.build_fixtures import (
    DIM,
    BadRow,
    Bench,
    ListSource,
    doc,
    docs,
    make_collection,
)
from tests.hash_encoder import HashEncoder
from tests.store_fixtures import STORES, World, stamp, world_of

IDS: list[int | str] = [0, 7, 2**64 - 1, -3, "a", "b", "c", "ü", "doc/1", str(point_id("z"))]
ROWS = st.builds(
    lambda id, text, tenant: doc(id, f"text {text}", tenant=tenant),
    st.sampled_from(IDS),
    st.integers(0, 5),
    st.integers(0, 1),
)


class Interrupted(Exception):
    """Raised in a stage on purpose."""


@dataclass(frozen=True)
class Step:
    """Foreign writes, then one run over ``rows`` that breaks in a stage, or does not."""

    foreign: list[tuple[int | str, bool]]
    rows: list[Document | BadRow]
    breaks: tuple[str, int] | None
    batch_size: int


STEPS = st.builds(
    Step,
    st.lists(st.tuples(st.sampled_from(IDS), st.booleans()), max_size=1),
    st.lists(st.one_of(ROWS, ROWS, ROWS, st.builds(BadRow, st.sampled_from(IDS))), max_size=14),
    st.none() | st.tuples(st.sampled_from(["source", "encoder", "writer"]), st.integers(0, 6)),
    st.integers(1, 5),
)


class Held(NamedTuple):
    """What the dictionary keeps of a point. ``owner`` is a source's name, or None: no stamp."""

    owner: str | None
    text: str
    tenant: int


class WatchedEncoder(HashEncoder):
    """Remembers the texts of a run, and breaks at a call."""

    asked: list[str]
    left: float

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        if self.left <= 0:
            raise Interrupted
        self.left -= 1
        self.asked += texts
        return super().encode_documents(texts)


class BreakingStore:
    """The store, whose ``insert`` breaks at a call, after its write."""

    def __init__(self, store: Store, left: float) -> None:
        self._store, self._left = store, left

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def insert(self, name: str, points: Sequence[Point]) -> None:
        self._store.insert(name, points)
        self._left -= 1
        if self._left < 0:
            raise Interrupted


class Machine:
    """The real collection and the dictionary, step by step."""

    def __init__(self, world: World) -> None:
        self.world, self.store, self.name = world, world.store, world.name()
        self.encoder = WatchedEncoder(DIM)
        make_collection(self.store, self.encoder, self.name)
        self.bench = Bench(self.store, self.encoder, collection=self.name)
        self.model: dict[PointId, Held] = {}

    def step(self, step: Step) -> None:
        for id, stamped in step.foreign:
            self._write_foreign(point_id(id), stamped)
        before = dict(self.model)
        wanted = first_rows(step.rows)
        try:
            self._run(step)
        except Interrupted:
            self._check_interrupted(before, wanted)
        else:
            self.model = expected(before, step.rows)
            assert self.real() == self.model
            self._check_idempotent(step.rows)
        self._check_embedded(before, wanted)
        self._check_vectors()

    def _run(self, step: Step, **options: Any) -> None:
        where, at = step.breaks or ("", 0)
        self.encoder.asked, self.encoder.left = [], at if where == "encoder" else float("inf")
        store: Any = BreakingStore(self.store, at if where == "writer" else float("inf"))
        source = ListSource(step.rows, error=Interrupted())
        source.fail_at = min(at, len(step.rows)) if where == "source" else None
        report = self.bench.run(source, store=store, batch_size=step.batch_size)
        assert report.points == self.store.count(self.name)
        assert report.contended == 0

    def _check_interrupted(self, before: dict[PointId, Held], wanted: dict[PointId, Held]) -> None:
        self.model = self.real()
        assert set(self.model) >= set(before)  # nothing was deleted
        for id, held in self.model.items():
            assert held in (before.get(id), wanted.get(id))

    def _check_idempotent(self, rows: list[Document | BadRow]) -> None:
        asked, stamps = self.encoder.asked, self.points()
        self._run(Step([], rows, None, 3))
        assert self.encoder.asked == []
        assert {id: p.stamp for id, p in self.points().items()} == {
            id: p.stamp for id, p in stamps.items()
        }
        self.encoder.asked = asked

    def _check_embedded(self, before: dict[PointId, Held], wanted: dict[PointId, Held]) -> None:
        """Each text once, and none that only documents need whose vectors were there."""
        asked = self.encoder.asked
        assert len(asked) == len(set(asked))
        lacking = {
            held.text
            for id, held in wanted.items()
            if id not in before or (before[id].owner, before[id].text) != (held.owner, held.text)
        }
        assert set(asked) <= lacking

    def _check_vectors(self) -> None:
        for id, point in self.points().items():
            if self.model[id].owner == "list:a":
                [expected] = self.encoder.encode_queries([self.model[id].text])
                assert point.vector == pytest.approx(expected, abs=1e-6)
        own = {id for id, held in self.model.items() if held.owner == "list:a"}
        assert not self.store.missing_vectors(self.name) & own

    def _write_foreign(self, id: PointId, stamped: bool) -> None:
        """As another source of ours would, or as a plain client: full vector, no stamp."""
        payload = {"text": "foreign", "tenant": 9}
        if stamped:
            if id in self.model:
                return
            vector = self.encoder.encode_queries(["foreign"])[0]
            self.store.insert(self.name, [Point(id, vector, payload, stamp(str(id)))])
        else:
            vector = [1.0] + [0.0] * (DIM - 1)
            assert self.world.write_raw is not None
            self.world.write_raw(self.name, id, {"": vector}, payload)
        self.model[id] = Held("corpus" if stamped else None, "foreign", 9)

    def points(self) -> dict[PointId, StoredPoint]:
        pages = self.store.scroll(self.name, page=4, with_payload=True, with_vector=True)
        return {point.id: point for page in pages for point in page}

    def real(self) -> dict[PointId, Held]:
        return {
            id: Held(
                point.stamp.source if point.stamp else None,
                point.payload["text"],
                point.payload["tenant"],
            )
            for id, point in self.points().items()
        }


def first_rows(rows: Sequence[Document | BadRow]) -> dict[PointId, Held]:
    """The source's state: of several rows with one id the first."""
    state: dict[PointId, Held] = {}
    for row in rows:
        if isinstance(row, Document):
            held = Held("list:a", row.text, row.payload["tenant"])
            state.setdefault(point_id(row.id), held)
    return state


def expected(before: dict[PointId, Held], rows: Sequence[Document | BadRow]) -> dict[PointId, Held]:
    """What a complete run leaves."""
    wanted = first_rows(rows)
    dead = {point_id(row.id) for row in rows if isinstance(row, BadRow) and row.id is not None}
    after = {
        id: held
        for id, held in before.items()
        if held.owner != "list:a" or id in wanted or id in dead
    }
    for id, held in wanted.items():
        if id not in before or before[id].owner in (None, "list:a"):
            after[id] = held
    return after


@pytest.mark.parametrize("kind", [kind for kind in STORES if kind != "http"])  # 40 starts: slow
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(steps=st.lists(STEPS, min_size=1, max_size=5))
def test_any_history_ends_in_the_state_of_the_source(kind: str, steps: list[Step]) -> None:
    with TemporaryDirectory() as folder, contextmanager(world_of)(kind, Path(folder)) as world:
        machine = Machine(world)
        for step in steps:
            machine.step(step)
        last: list[Document | BadRow] = [doc(id, f"last {id}", tenant=0) for id in IDS[:6]]
        machine.step(Step([], last, None, 3))


@pytest.fixture(params=STORES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench[Store]]:
    with contextmanager(world_of)(request.param, tmp_path) as world:
        encoder = HashEncoder(DIM)
        make_collection(world.store, encoder, world.name())
        yield Bench(world.store, encoder, collection=world.name())


def test_hundreds_of_documents_go_through_and_come_back(bench: Bench[Store]) -> None:
    rows = [doc(f"doc-{n}", f"text {n % 400}", tenant=n % 7) for n in range(600)]
    first = bench.run(rows, batch_size=64)
    assert (first.inserted, first.embedded, first.reused) == (600, 400, 200)
    edited = [replace(row, payload={**row.payload, "tenant": 8}) for row in rows[:50]]
    second = bench.run([*edited, *rows[50:550]], batch_size=64)
    assert (second.payload_only, second.unchanged, second.deleted) == (50, 500, 50)
    assert (second.embedded, second.points, second.complete) == (0, 550, True)


def test_a_race_in_the_store_is_lost_politely(bench: Bench[Store]) -> None:
    """Somebody writes between our look-up and our write: theirs stays, until the next run."""
    bench.run(docs(20))
    bench.run(docs(20))
    name, id = bench.collection, point_id("doc-3")
    seen = bench.store.retrieve(name, [id])[id].stamp
    assert seen is not None
    theirs = replace(seen, rev=2, text_hash=text_hash("theirs"), payload_hash=payload_hash({}))
    vector = bench.encoder.encode_queries(["theirs"])[0]

    class Racing(BreakingStore):
        def update(self, name: str, points: Sequence[Point], seen: Any) -> None:
            bench.store.update(name, [Point(id, vector, {}, theirs)], {id: seen[id]})
            bench.store.update(name, points, seen)

    racing: Any = Racing(bench.store, float("inf"))
    rows = [doc(f"doc-{n}", f"edited {n}") for n in range(20)]
    report = bench.run(rows, store=racing, batch_size=20)
    assert (report.updated, report.contended, report.complete) == (19, 1, False)
    assert bench.store.retrieve(name, [id])[id].stamp == theirs
    mended = bench.run(rows)
    assert (mended.updated, mended.unchanged, mended.complete) == (1, 19, True)
