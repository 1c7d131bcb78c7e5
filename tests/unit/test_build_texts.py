"""Equal texts are embedded once, and only from points that hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reindex.build.embed import RecentVectors
from reindex.records import point_id
from tests.build_fixtures import (
    COLLECTION,
    WAYS,
    DictBench,
    dict_bench,
    doc,
    docs,
    other_stamp,
)
from tests.dict_store import Proxy


@pytest.fixture(**WAYS)
def bench(request: pytest.FixtureRequest) -> DictBench:
    return dict_bench(hands=request.param)


def test_equal_texts_are_embedded_once(bench: DictBench) -> None:
    rows = [doc(number, f"text {number % 3}") for number in range(50)]
    report = bench.run(rows)
    assert (report.inserted, report.embedded, report.reused) == (50, 3, 47)
    assert bench.encoder.texts == 3
    assert bench.stored(49).vector == pytest.approx(bench.encoder.encode_queries(["text 1"])[0])


def test_a_text_seen_long_ago_is_read_back(
    bench: DictBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reindex.build.convergence.RECENT_TEXTS", 1)
    rows = [*docs(200), *(doc(f"again-{number}", f"text of doc-{number}") for number in range(100))]
    report = bench.run(rows, batch_size=1)  # 16 vectors stay in memory at this batch size
    assert (report.embedded, report.reused) == (200, 100)


def test_a_new_document_takes_the_vector_of_a_current_one(bench: DictBench) -> None:
    bench.run(docs(20))
    report = bench.run([*docs(20), doc("copy", "text of doc-3")])
    assert (report.inserted, report.embedded, report.reused) == (1, 0, 1)
    assert bench.stored("copy").vector is bench.stored("doc-3").vector


def test_a_damaged_point_lends_no_vector(bench: DictBench) -> None:
    bench.run([doc("a", "same")])
    bench.store.lacking.add(point_id("a"))
    report = bench.run([doc("a", "same"), doc("b", "same")])
    assert (report.updated, report.inserted, report.embedded) == (1, 1, 1)


def test_a_point_that_was_just_changed_lends_no_vector(bench: DictBench) -> None:
    bench.run(docs(20))
    wrong = bench.encoder.encode_queries(["theirs"])[0]
    store, stamp = bench.store, other_stamp(bench, "doc-3")

    def change() -> None:
        store.foreign(COLLECTION, point_id("doc-3"), stamp, wrong)

    proxy: Any = Proxy(store, "retrieve", change, n=2)  # the first one is the look-up
    report = bench.run([*docs(20), doc("copy", "text of doc-3")], store=proxy, batch_size=30)
    assert (report.embedded, report.reused) == (1, 0)
    expected = bench.encoder.encode_queries(["text of doc-3"])[0]
    assert bench.stored("copy").vector == pytest.approx(expected)


def test_recent_vectors_hold_no_more_than_themselves() -> None:
    recent, batch = RecentVectors(2), np.eye(8, dtype=np.float32)
    for row in range(3):
        recent.keep(str(row), batch[row])
    assert recent.take("0") is None
    kept = recent.take("1")
    assert kept is not None
    assert kept.base is None  # a view would hold the whole batch
    recent.keep("3", batch[3])
    assert recent.take("2") is None  # "1" was used later
    assert recent.take("1") is kept
