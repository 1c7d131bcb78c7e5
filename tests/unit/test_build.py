"""The rules of converge, one by one, on a dictionary-backed store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reindex.build.lookup import hashed
from reindex.errors import BuildError, CollectionNotFound, SpaceMismatch, TooManyDeletes
from reindex.point_ids import pack_id
from reindex.records import STAMP_KEY, Document, payload_hash, point_id, text_hash
from tests.build_fixtures import (
    BUILD,
    COLLECTION,
    DIM,
    WAYS,
    BadRow,
    DictBench,
    ListSource,
    dict_bench,
    doc,
    docs,
)
from tests.hash_encoder import HashEncoder

TEXT = st.characters(exclude_categories=["Cs"])


@pytest.fixture(**WAYS)
def bench(request: pytest.FixtureRequest) -> DictBench:
    return dict_bench(hands=request.param)


@given(
    st.one_of(st.integers(), st.text(TEXT)),
    st.text(TEXT),
    st.dictionaries(
        st.text(TEXT), st.one_of(st.none(), st.floats(), st.dates(), st.text(TEXT))
    ).filter(lambda payload: STAMP_KEY not in payload),
)
def test_documents_are_hashed_as_the_records_say(
    id: int | str, text: str, payload: dict[str, Any]
) -> None:
    found = hashed(Document(id, text, payload))
    assert found[1:] == (
        point_id(id),
        pack_id(point_id(id)),
        text_hash(text),
        payload_hash(payload),
    )


def test_first_build_writes_every_document_with_its_stamp(bench: DictBench) -> None:
    report = bench.run([doc(7, "seven", colour="red"), doc("a", "letter")])
    assert (report.documents, report.inserted, report.embedded, report.points) == (2, 2, 2, 2)
    assert report.complete
    point = bench.stored(7)
    assert point.payload == {"text": "seven", "colour": "red"}
    assert point.vector == pytest.approx(bench.encoder.encode_queries(["seven"])[0])
    stamp = bench.stamp_of(7)
    assert (stamp.id, stamp.space, stamp.encoding) == (
        7,
        bench.encoder.space,
        bench.encoder.encoding,
    )
    assert (stamp.build, stamp.rev, stamp.source) == (BUILD, 1, "list:a")
    assert stamp.text_hash == text_hash("seven")


def test_a_second_run_embeds_nothing_and_writes_nothing(bench: DictBench) -> None:
    bench.run(docs(30))
    writes, texts = bench.store.writes, bench.encoder.texts
    report = bench.run(docs(30))
    assert (report.unchanged, report.embedded, report.inserted, report.updated) == (30, 0, 0, 0)
    assert (bench.store.writes, bench.encoder.texts) == (writes, texts)


def test_a_payload_edit_is_written_without_embedding(bench: DictBench) -> None:
    bench.run([doc("a", "text", rights="none"), doc("b")])
    vector = bench.stored("a").vector
    report = bench.run([doc("a", "text", rights="all"), doc("b")])
    assert (report.payload_only, report.updated, report.embedded, report.unchanged) == (1, 0, 0, 1)
    assert bench.stored("a").payload["rights"] == "all"
    assert bench.stored("a").vector is vector
    assert bench.stamp_of("a").rev == 2
    assert bench.stamp_of("b").rev == 1


def test_a_text_edit_is_embedded(bench: DictBench) -> None:
    bench.run(docs(5))
    report = bench.run([doc("doc-0", "other"), *docs(4, 1)])
    assert (report.updated, report.embedded, report.unchanged) == (1, 1, 4)
    expected = bench.encoder.encode_queries(["other"])[0]
    assert bench.stored("doc-0").vector == pytest.approx(expected)


def test_a_point_that_lacks_a_vector_is_mended(bench: DictBench) -> None:
    bench.run(docs(5))
    bench.store.lacking.add(point_id("doc-3"))
    report = bench.run(docs(5))
    assert (report.updated, report.embedded, report.unchanged) == (1, 1, 4)
    assert bench.run(docs(5)).unchanged == 5


@pytest.mark.parametrize("field", ["encoding", "space", "text_hash"])
def test_a_vector_of_another_kind_is_embedded_again(bench: DictBench, field: str) -> None:
    bench.run(docs(2))
    changed: dict[str, Any] = {field: "other"}
    old = replace(bench.stamp_of("doc-0"), **changed)
    bench.store.foreign(COLLECTION, point_id("doc-0"), old)
    report = bench.run(docs(2))
    assert (report.updated, report.embedded, report.unchanged) == (1, 1, 1)


def test_a_point_of_another_build_keeps_its_vector(bench: DictBench) -> None:
    bench.run(docs(2))
    old = replace(bench.stamp_of("doc-0"), build="build-0")
    bench.store.foreign(COLLECTION, point_id("doc-0"), old)
    report = bench.run(docs(2))
    assert (report.payload_only, report.embedded) == (1, 0)
    assert bench.stamp_of("doc-0").build == BUILD


def test_an_unstamped_point_is_taken_over(bench: DictBench) -> None:
    bench.store.foreign(COLLECTION, point_id("doc-0"), None, text="foreign")
    report = bench.run(docs(2))
    assert (report.inserted, report.updated) == (1, 1)
    assert bench.stored("doc-0").payload == {"text": "text of doc-0"}


def test_a_point_of_another_source_is_a_conflict(bench: DictBench) -> None:
    bench.run(ListSource([doc("a", "theirs")], name="list:b"))
    report = bench.run([doc("a", "ours"), doc("b")])
    assert (report.conflicts, report.inserted, report.complete) == (1, 1, False)
    assert bench.stored("a").payload == {"text": "theirs"}
    [(id, reason)] = bench.letters.rows
    assert id == "a"
    assert reason.startswith("conflict: ")


def test_two_ids_of_one_point_collide(bench: DictBench) -> None:
    alias = str(point_id("a"))  # a document whose own id is the UUID that "a" maps to
    bench.run([doc("a")])
    report = bench.run([doc(alias)])
    assert (report.conflicts, report.deleted, report.complete) == (1, 0, False)
    assert bench.letters.rows[0][1].startswith("id collision: the document 'a'")
    assert bench.stamp_of("a").id == "a"


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_a_duplicate_id_is_a_dead_letter_and_the_first_one_stays(
    bench: DictBench, batch_size: int
) -> None:
    rows = [doc("a", "first"), doc("b"), doc("a", "second"), doc("c"), doc("a", "third")]
    for expected in (3, 0):
        report = bench.run(rows, batch_size=batch_size)
        assert (report.dead, report.inserted, report.updated) == (2, expected, 0)
        assert [id for id, _ in bench.letters.rows] == ["a", "a"]
        assert bench.stored("a").payload == {"text": "first"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (doc("a\ud800"), "invalid text"),
        (doc("a", "half \ud800 pair"), "invalid text"),
        (Document("a", "text", {STAMP_KEY: 1}), "reserved field"),
    ],
)
def test_a_document_that_cannot_be_stored_costs_one_line(
    bench: DictBench, row: Document, reason: str
) -> None:
    report = bench.run([row, doc("b")])
    assert (report.inserted, report.dead) == (1, 1)
    assert bench.letters.rows[0][1].startswith(reason)


def test_what_the_source_lacks_is_deleted(bench: DictBench) -> None:
    bench.run(docs(10))
    report = bench.run(docs(9))
    assert (report.deleted, report.unchanged, report.points) == (1, 9, 9)
    assert "doc-9" not in bench.contents()


def test_only_points_of_this_source_are_deleted(bench: DictBench) -> None:
    bench.run(ListSource(docs(5), name="list:b"))
    bench.store.foreign(COLLECTION, point_id("foreign"), None)
    report = bench.run(docs(5, 10))
    assert (report.inserted, report.deleted, report.points) == (5, 0, 11)


def test_an_id_that_no_point_can_have_does_not_stop_the_deletes(bench: DictBench) -> None:
    bench.run(docs(10))
    report = bench.run([*docs(9), BadRow("\ud800"), doc("half\ud800")])
    assert (report.deleted, report.dead) == (1, 2)


def test_dead_letters_count_as_present(bench: DictBench) -> None:
    bench.run(docs(10))
    report = bench.run([*docs(8), BadRow("doc-8"), BadRow(None)])
    assert (report.deleted, report.dead) == (1, 2)
    assert "doc-8" in bench.contents()
    assert "doc-9" not in bench.contents()


@pytest.mark.parametrize(("kept", "refused"), [(8, False), (7, True), (0, True)])
def test_too_many_deletes_are_refused(bench: DictBench, kept: int, refused: bool) -> None:
    bench.run(docs(10))
    rows = [*docs(kept), doc("new")] if kept else []
    if not refused:
        assert bench.run(rows, allow_deletes=False).deleted == 2
        return
    with pytest.raises(TooManyDeletes) as caught:
        bench.run(rows, allow_deletes=False)
    message = str(caught.value)
    assert f"{10 - kept} of the {11 if kept else 10} points" in message
    assert message.count("'doc-") == 3
    assert "--allow-deletes" in message
    assert len(bench.contents()) == (11 if kept else 10)  # the insert is kept
    assert bench.run(rows, allow_deletes=True).deleted == 10 - kept


def test_progress_ends_at_the_number_of_documents(bench: DictBench) -> None:
    seen: list[tuple[str, int, int | None]] = []
    bench.run(docs(25), progress=lambda stage, done, total: seen.append((stage, done, total)))
    assert seen[-1] == ("build", 25, 25)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_a_collection_of_another_space_is_refused(bench: DictBench) -> None:
    with pytest.raises(SpaceMismatch, match=r"hash-space-16-0.*hash-space-16-1"):
        bench.run(docs(1), encoder=HashEncoder(DIM, seed=1))


@pytest.mark.parametrize("key", ["encoding", "build"])
def test_a_collection_of_another_encoding_or_build_is_refused(bench: DictBench, key: str) -> None:
    bench.store.set_metadata(COLLECTION, {key: "other"})
    with pytest.raises(BuildError, match=f"has the {key} 'other'"):
        bench.run(docs(1))


def test_an_unknown_collection_is_not_an_empty_one(bench: DictBench) -> None:
    bench.store.drop(COLLECTION)
    with pytest.raises(CollectionNotFound):
        bench.run(docs(1))
