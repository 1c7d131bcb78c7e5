"""A collection as the source of documents."""

from __future__ import annotations

import json

import pytest

from reindex.corpus.collection import CollectionSource
from reindex.corpus.frameworks import StoredText
from reindex.protocols import CopiedSource, RereadableSource
from reindex.records import point_id
from tests.build_fixtures import COLLECTION, DictBench, Letters, dict_bench, doc, docs


@pytest.fixture
def bench() -> DictBench:
    return dict_bench()


def source_of(bench: DictBench) -> CollectionSource:
    return CollectionSource(
        bench.store, COLLECTION, name="collection:docs", text_of=StoredText("plain", ("text",))
    )


def test_it_gives_every_point_as_it_was_given(bench: DictBench) -> None:
    rows = [*docs(3), doc(7, "seven", tenant=1)]
    bench.run(rows)
    source = source_of(bench)
    assert isinstance(source, RereadableSource)
    assert isinstance(source, CopiedSource)
    assert source.count() == 4
    found = {row.id: row for row in source.documents(Letters())}
    assert found.keys() == {row.id for row in rows}
    for row in rows:
        assert (found[row.id].text, found[row.id].payload) == (row.text, row.payload)
        assert found[row.id].rev == 1


def test_what_others_wrote_bears_no_number(bench: DictBench) -> None:
    bench.run(docs(2))
    stamp = bench.stamp_of("doc-0")
    bench.store.foreign(COLLECTION, point_id("doc-0"), stamp, text="edited behind the stamp")
    bench.store.foreign(COLLECTION, 5, None, text="of a plain client")
    found = {row.id: row for row in source_of(bench).documents(Letters())}
    assert (found["doc-0"].rev, found["doc-0"].text) == (0, "edited behind the stamp")
    assert (found[5].rev, found[5].text) == (0, "of a plain client")
    assert found["doc-1"].rev == 1


def test_a_template_that_reaches_into_objects_is_one_dead_letter(bench: DictBench) -> None:
    bench.run(docs(2))
    evil = json.dumps({"text": "t", "metadata": {"a": 1}, "text_template": "{content.__class__}"})
    bench.store.foreign(COLLECTION, 5, None, _node_content=evil)
    letters, text = Letters(), StoredText("llamaindex")
    source = CollectionSource(bench.store, COLLECTION, name="collection:docs", text_of=text)
    assert {row.id for row in source.documents(letters)} == {"doc-0", "doc-1"}
    assert letters.rows == [(5, "template: a field {content.__class__}")]


def test_a_point_without_text_is_one_dead_letter(bench: DictBench) -> None:
    bench.run(docs(2))
    bench.store.foreign(COLLECTION, 5, None, title="no text")
    letters = Letters()
    source = source_of(bench)
    assert {row.id for row in source.documents(letters)} == {"doc-0", "doc-1"}
    assert letters.rows == [(5, "no text in text")]
    assert source.current([5, "doc-1", "doc-2"]) == {
        5: None,
        "doc-1": next(row for row in source.documents(Letters()) if row.id == "doc-1"),
    }


def test_a_part_of_a_collection(bench: DictBench) -> None:
    bench.run(docs(3))
    bench.store.foreign(COLLECTION, 5, None, text="of a plain client")
    part = CollectionSource(
        bench.store,
        COLLECTION,
        name="indexer",
        text_of=StoredText("plain", ("text",)),
        belongs=lambda stamp: stamp is None,
    )
    assert [row.id for row in part.documents(Letters())] == [5]
    assert part.current(["doc-0", 5]).keys() == {5}
    assert (part.mirror, part.count()) == (False, None)
