"""What somebody else writes during a build stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from reindex.records import Document, PointId, point_id
from tests.build_fixtures import (
    COLLECTION,
    WAYS,
    DictBench,
    ListSource,
    dict_bench,
    doc,
    docs,
    other_stamp,
)
from tests.dict_store import Proxy


@pytest.fixture(**WAYS)
def bench(request: pytest.FixtureRequest) -> DictBench:
    return dict_bench(hands=request.param)


def race(bench: DictBench, method: str, id: str, n: int = 1, *, newer: bool = False) -> Any:
    """A store where somebody writes ``id`` right before our ``n``-th call of ``method``.

    ``newer``: with a rev of the sequence that is above our run's; else with one that is not.
    """
    store = bench.store
    stamp = other_stamp(bench, id, rev=99 if newer else 0)
    return Proxy(store, method, lambda: store.foreign(COLLECTION, point_id(id), stamp), n)


@pytest.mark.parametrize(
    ("method", "rows"),
    [
        ("insert", [*docs(4), doc("new")]),
        ("update", [doc("doc-0", "edited"), *docs(3, 1)]),
        ("update_payload", [doc("doc-0", "text of doc-0", tenant=2), *docs(3, 1)]),
    ],
)
def test_a_point_written_meanwhile_is_left(
    bench: DictBench, method: str, rows: list[Document]
) -> None:
    bench.run(docs(4))
    id = "new" if method == "insert" else "doc-0"
    report = bench.run(rows, store=race(bench, method, id))
    assert (report.contended, report.complete) == (1, False)
    assert (report.inserted, report.updated, report.payload_only) == (0, 0, 0)
    assert bench.stamp_of(id).rev == 0
    again = bench.run(rows)  # the next run sees it and converges
    assert (again.updated, again.complete) == (1, True)


@pytest.mark.parametrize(
    ("method", "rows"),
    [
        ("insert", [*docs(4), doc("new")]),
        ("update", [doc("doc-0", "edited"), *docs(3, 1)]),
        ("update_payload", [doc("doc-0", "text of doc-0", tenant=2), *docs(3, 1)]),
    ],
)
def test_a_newer_point_is_left_and_the_build_is_complete(
    bench: DictBench, method: str, rows: list[Document]
) -> None:
    bench.run(docs(4))
    id = "new" if method == "insert" else "doc-0"
    report = bench.run(rows, store=race(bench, method, id, newer=True))
    assert (report.newer, report.contended, report.complete) == (1, 0, True)
    again = bench.run(rows)
    assert (again.newer, again.updated, again.payload_only, again.complete) == (1, 0, 0, True)
    assert bench.stamp_of(id).rev == 99


@pytest.mark.parametrize(("newer", "contended"), [(True, 0), (False, 1)])
def test_a_point_written_before_its_delete_is_left(
    bench: DictBench, newer: bool, contended: int
) -> None:
    bench.run(docs(10))
    report = bench.run(docs(8), store=race(bench, "delete", "doc-9", newer=newer))
    assert (report.deleted, report.contended, report.newer) == (1, contended, 1 - contended)
    assert report.complete is newer
    assert bench.stamp_of("doc-9").rev == (99 if newer else 0)


def test_a_newer_point_is_not_deleted(bench: DictBench) -> None:
    bench.run(docs(10))
    bench.store.foreign(COLLECTION, point_id("doc-9"), other_stamp(bench, "doc-9"))
    report = bench.run(docs(9))
    assert (report.deleted, report.newer, report.complete) == (0, 1, True)
    assert bench.stamp_of("doc-9").rev == 99


def test_a_point_deleted_meanwhile_is_not_brought_back(bench: DictBench) -> None:
    bench.run(docs(4))
    store = bench.store
    gone: PointId = point_id("doc-0")
    seen = bench.stamp_of("doc-0")
    proxy: Any = Proxy(store, "update", lambda: store.delete(COLLECTION, {gone: seen}))
    report = bench.run([doc("doc-0", "edited"), *docs(3, 1)], store=proxy)
    assert (report.contended, report.points) == (1, 3)


@dataclass
class Asked(ListSource):
    """A source that can be asked again, and has something else by then."""

    now: Sequence[Document] = ()

    def current(self, ids: Sequence[int | str]) -> dict[int | str, Document | None]:
        """What it has at that time."""
        return {row.id: row for row in self.now if row.id in ids}


def test_a_document_that_is_gone_while_it_is_read_and_back_later_is_as_it_is_now(
    bench: DictBench,
) -> None:
    before = docs(6)
    bench.run(before)
    now = [*before[:3], doc("doc-3", "written anew"), before[4]]
    report = bench.run(Asked([*before[:3]], now=now))
    assert bench.contents().keys() == {f"doc-{number}" for number in range(5)}
    assert bench.stored("doc-3").payload["text"] == "written anew"
    assert (report.updated, report.deleted, report.complete) == (1, 1, True)
    assert bench.run(now).unchanged == 5
