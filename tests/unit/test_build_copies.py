"""Converge from another collection while both are written to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from reindex.build import BuildReport, Guard, converge
from reindex.config import BuildSettings
from reindex.corpus.collection import CollectionSource
from reindex.corpus.frameworks import StoredText
from reindex.records import PayloadChange, PointId, Stamp, payload_hash, point_id
from tests.build_fixtures import (
    BUILD,
    COLLECTION,
    WAYS,
    DictBench,
    Letters,
    ListSource,
    dict_bench,
    doc,
    docs,
    make_collection,
)
from tests.dict_store import Proxy

COPY = "docs--v2"


@pytest.fixture(**WAYS)
def bench(request: pytest.FixtureRequest) -> DictBench:
    """Six documents, to be copied into an empty collection."""
    made = dict_bench(hands=request.param)
    made.run(docs(6))
    make_collection(made.store, made.encoder, COPY)
    return made


def copy(
    bench: DictBench, store: Any = None, *, guard: Guard | None = None, rev: int = 50
) -> BuildReport:
    source = CollectionSource(
        bench.store, COLLECTION, name="collection:docs", text_of=StoredText("plain", ("text",))
    )
    return converge(
        source,
        bench.encoder,
        store or bench.store,
        COPY,
        build=BUILD,
        rev=rev,
        dead=Letters(),
        settings=BuildSettings(),
        batch_size=3,
        allow_deletes=True,
        guard=guard or Guard(),
        crew=bench.crew(store or bench.store, bench.encoder, 3),
    )


def texts(bench: DictBench, collection: str) -> dict[PointId, str]:
    pages = bench.store.scroll(collection, with_payload=True)
    return {point.id: point.payload["text"] for page in pages for point in page}


def edit(bench: DictBench, id: str, text: str | None) -> Callable[[], None]:
    """A plain client edits or deletes a document of the source."""
    return lambda: _edit(bench, point_id(id), text)


def _edit(bench: DictBench, key: PointId, text: str | None) -> None:
    if text is None:
        bench.store._points[COLLECTION].pop(key)
    else:
        bench.store.foreign(COLLECTION, key, None, text=text)


def stamp_in_copy(bench: DictBench, id: str) -> Stamp:
    stamp = bench.store.retrieve(COPY, [point_id(id)])[point_id(id)].stamp
    assert stamp is not None
    return stamp


def test_what_was_deleted_after_it_was_read_is_not_brought_back(bench: DictBench) -> None:
    store = Proxy(bench.store, "insert", edit(bench, "doc-1", None))
    report = copy(bench, store)
    assert texts(bench, COPY) == texts(bench, COLLECTION)
    assert (report.inserted, report.documents, report.deleted, report.complete) == (5, 5, 0, True)


def test_what_changed_after_it_was_read_is_written_again(bench: DictBench) -> None:
    store = Proxy(bench.store, "insert", edit(bench, "doc-1", "edited meanwhile"))
    report = copy(bench, store)
    assert texts(bench, COPY)[point_id("doc-1")] == "edited meanwhile"
    assert (report.inserted, report.updated, report.complete) == (6, 1, True)


def test_what_came_back_before_its_delete_stays(bench: DictBench) -> None:
    copy(bench)
    _edit(bench, point_id("doc-1"), None)
    back = edit(bench, "doc-1", "back again")
    report = copy(bench, Proxy(bench.store, "count", back))
    assert report.deleted == 0
    assert point_id("doc-1") in texts(bench, COPY)


def test_copies_bear_the_number_of_the_write_that_made_them(bench: DictBench) -> None:
    copy(bench)
    assert {stamp_in_copy(bench, f"doc-{n}").rev for n in range(6)} == {1}
    stamp = replace(bench.stamp_of("doc-1"), rev=70)
    change = PayloadChange(point_id("doc-1"), {"text": "newer"}, stamp)
    stamp = replace(stamp, payload_hash=payload_hash(change.payload))
    change = replace(change, stamp=stamp)
    bench.store.update_payload(COPY, [change], {change.id: stamp_in_copy(bench, "doc-1")})
    for rev in (60, 80):  # older than the point; newer, but what it copies is not
        report = copy(bench, rev=rev)
        assert (report.newer, report.complete) == (1, True)
        assert texts(bench, COPY)[point_id("doc-1")] == "newer"


class Deleted:
    """Tombstones: point id -> rev."""

    def __init__(self, revs: Mapping[PointId, int]) -> None:
        self._revs = revs

    def deleted(self, ids: Sequence[PointId]) -> Mapping[PointId, int]:
        return {id: self._revs[id] for id in ids if id in self._revs}


@pytest.mark.parametrize(("rev", "copied"), [(2, False), (1, True)])
def test_a_tombstone_newer_than_the_document_keeps_it_away(
    bench: DictBench, rev: int, copied: bool
) -> None:
    guard = Guard(tombstones=Deleted({point_id("doc-1"): rev}))
    report = copy(bench, guard=guard)
    assert (point_id("doc-1") in texts(bench, COPY)) is copied
    assert (report.documents, report.complete) == (5 + copied, True)


def test_a_tombstone_that_comes_meanwhile_takes_the_insert_back(bench: DictBench) -> None:
    revs: dict[PointId, int] = {}
    store = Proxy(bench.store, "insert", lambda: revs.update({point_id("doc-1"): 60}))
    report = copy(bench, store, guard=Guard(tombstones=Deleted(revs)))
    assert point_id("doc-1") not in texts(bench, COPY)
    assert (report.inserted, report.complete) == (5, True)


def test_a_careful_run_leaves_what_is_not_as_we_wrote_it(bench: DictBench) -> None:
    copy(bench)
    for n in range(4):
        _edit(bench, point_id(f"doc-{n}"), None if n == 3 else f"edited {n}")
    bench.store.foreign(COPY, point_id("doc-1"), None, text="by a plain client")
    for id in ("doc-2", "doc-3"):
        stamp = stamp_in_copy(bench, id)
        bench.store.foreign(COPY, point_id(id), stamp, text="behind the stamp")
    report = copy(bench, guard=Guard(careful=True))
    found = texts(bench, COPY)
    assert [found[point_id(f"doc-{n}")] for n in range(4)] == [
        "edited 0", "by a plain client", "behind the stamp", "behind the stamp",
    ]  # fmt: skip
    assert (report.updated, report.deleted) == (1, 0)


def test_an_adopted_point_with_the_same_payload_is_current(bench: DictBench) -> None:
    for n in range(6):
        id = point_id(f"doc-{n}")
        bench.store.foreign(COPY, id, None, text=f"text of doc-{n}" if n else "older")
    report = copy(bench, guard=Guard(adopted=True))
    assert (report.updated, report.unchanged, report.embedded) == (1, 5, 1)
    assert texts(bench, COPY) == texts(bench, COLLECTION)


def test_a_file_s_row_that_a_single_write_deleted_stays_away() -> None:
    bench = dict_bench()
    buried = Guard(tombstones=Deleted({point_id("doc-1"): 1}))
    report = converge(
        ListSource([doc("doc-0"), doc("doc-1")]),
        bench.encoder,
        bench.store,
        COLLECTION,
        build=BUILD,
        rev=5,
        dead=Letters(),
        settings=BuildSettings(),
        batch_size=4,
        guard=buried,
    )
    assert (report.documents, report.inserted, report.complete) == (1, 1, True)


def test_what_a_killed_run_brought_back_is_deleted_again(bench: DictBench) -> None:
    copy(bench)  # inserted, and killed before it asked whether somebody had deleted it meanwhile
    guard = Guard(tombstones=Deleted({point_id("doc-1"): 60, point_id("doc-2"): 0}))
    report = copy(bench, guard=guard, rev=61)
    assert texts(bench, COPY).keys() == {point_id(f"doc-{n}") for n in (0, 2, 3, 4, 5)}
    assert (report.deleted, report.complete) == (1, True)
