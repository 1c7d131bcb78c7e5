"""A run whose work is done by hands elsewhere: what the run itself must see to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from reindex.build import BuildReport, Guard, converge
from reindex.build.hand import Unit
from reindex.config import BuildSettings
from reindex.corpus.collection import CollectionSource
from reindex.corpus.frameworks import StoredText
from reindex.errors import Cancelled, TooManyBadRows
from reindex.protocols import DocumentSource, Encoder, no_pace
from reindex.records import PointId, Vector, point_id
from tests.build_fixtures import (
    BUILD,
    COLLECTION,
    BadRow,
    DictBench,
    Letters,
    ListSource,
    dict_bench,
    doc,
    docs,
    make_collection,
)
from tests.dict_store import Proxy
from tests.local_crew import LocalCrew

COPY = "docs--v2"


@pytest.fixture
def bench() -> DictBench:
    return dict_bench(hands=True)


def run(
    bench: DictBench,
    source: DocumentSource,
    crew: LocalCrew,
    *,
    encoder: Encoder | None = None,
    collection: str = COLLECTION,
    letters: Letters | None = None,
    guard: Guard | None = None,
    pace: Any = no_pace,
) -> BuildReport:
    bench.rev += 1
    return converge(
        source,
        encoder or bench.encoder,
        bench.store,
        collection,
        build=BUILD,
        rev=bench.rev,
        dead=letters or Letters(),
        settings=BuildSettings(),
        batch_size=4,
        allow_deletes=True,
        guard=guard or Guard(),
        crew=crew,
        pace=pace,
    )


def loses(first: int) -> Any:
    """The first units are lost after they were done."""
    lost: list[Unit] = []

    def lose(unit: Unit) -> bool:
        lost.append(unit)
        return len(lost) <= first

    return lose


def test_equal_texts_are_embedded_once_though_several_hands_have_them(bench: DictBench) -> None:
    rows = [doc(number, f"text {number % 3}") for number in range(200)]
    report = bench.run(rows)
    assert (report.inserted, report.embedded, report.reused) == (200, 3, 197)
    assert bench.encoder.texts == 3


def test_one_text_alone_is_not_gathered_in_memory(bench: DictBench) -> None:
    source = ListSource([doc(number, "the same") for number in range(2_000)])
    ahead: list[int] = []

    class Watching(LocalCrew):
        def work(self, *given: Any) -> Any:
            for unit, done in super().work(*given):
                ahead.append(source.given - bench.store.count(COLLECTION))
                yield unit, done

    report = run(bench, source, Watching(bench.store, bench.encoder, unit=4))
    assert (report.inserted, report.embedded) == (2_000, 1)
    assert max(ahead) < 100


def test_a_unit_that_was_lost_is_done_again_and_counted_once(bench: DictBench) -> None:
    crew = LocalCrew(bench.store, bench.encoder, lose=loses(5))
    report = run(bench, ListSource([*docs(40), BadRow("bad")]), crew)
    assert (report.documents, report.points, report.dead, report.complete) == (40, 40, 1, True)
    assert report.inserted + report.unchanged == 40
    assert len(bench.contents()) == 40
    again = bench.run(docs(40))
    assert (again.unchanged, again.embedded, again.deleted) == (40, 0, 0)


class Deleted:
    """Tombstones: point id -> rev."""

    def __init__(self, revs: Mapping[PointId, int]) -> None:
        self.revs = dict(revs)

    def deleted(self, ids: Sequence[PointId]) -> Mapping[PointId, int]:
        return {id: self.revs[id] for id in ids if id in self.revs}


def test_what_a_lost_hand_inserted_is_not_left_after_a_delete(bench: DictBench) -> None:
    """Its insert came before a single write's delete, whose point the second hand finds current."""
    deleted = Deleted({})

    def lose(unit: Unit) -> bool:
        mine = point_id("doc-1") in {candidate.id for candidate in unit.candidates}
        if mine and not unit.again:
            deleted.revs[point_id("doc-1")] = 99
            return True
        return False

    crew = LocalCrew(bench.store, bench.encoder, lose=lose)
    report = run(bench, ListSource(docs(12)), crew, guard=Guard(tombstones=deleted))
    assert "doc-1" not in bench.contents()
    assert (report.documents, report.points, report.complete) == (11, 11, True)


def test_what_a_lost_hand_copied_is_not_left_once_its_document_is_gone(bench: DictBench) -> None:
    bench.run(docs(12))
    make_collection(bench.store, bench.encoder, COPY)
    gone = point_id("doc-1")

    def lose(unit: Unit) -> bool:
        if gone in {candidate.id for candidate in unit.candidates} and not unit.again:
            bench.store.delete(COLLECTION, {gone: bench.stamp_of("doc-1")})
            return True
        return False

    source = CollectionSource(
        bench.store, COLLECTION, name="live", text_of=StoredText("plain", ("text",))
    )
    crew = LocalCrew(bench.store, bench.encoder, lose=lose)
    report = run(bench, source, crew, collection=COPY)
    assert gone not in bench.store.retrieve(COPY, [gone])
    assert (report.points, report.complete) == (11, True)


def test_a_document_that_changes_while_it_is_copied_is_written_again(bench: DictBench) -> None:
    bench.run(docs(12))
    make_collection(bench.store, bench.encoder, COPY)

    def edit() -> None:
        bench.store.foreign(COLLECTION, point_id("doc-1"), None, text="edited meanwhile")

    proxy: Any = Proxy(bench.store, "insert", edit, 1)
    source = CollectionSource(
        bench.store, COLLECTION, name="live", text_of=StoredText("plain", ("text",))
    )
    report = run(bench, source, LocalCrew(proxy, bench.encoder), collection=COPY)
    found = bench.store.retrieve(COPY, [point_id("doc-1")], with_payload=True)
    assert [point.payload for point in found.values()] == [{"text": "edited meanwhile"}]
    assert report.complete


def test_a_stop_waits_for_what_was_handed_out(bench: DictBench) -> None:
    crew = LocalCrew(bench.store, bench.encoder)

    def pace(texts: int) -> None:
        if crew.units == 3:
            raise Cancelled("enough")

    bench.run(docs(3, start=100))
    with pytest.raises(Cancelled) as stopped:
        run(bench, ListSource(docs(40)), crew, pace=pace)
    report = stopped.value.report
    assert isinstance(report, BuildReport)
    assert (report.inserted, report.deleted, report.complete) == (12, 0, False)
    assert len(bench.contents()) == 12 + 3


def test_the_pace_is_told_of_what_needed_something(bench: DictBench) -> None:
    bench.run(docs(30))
    told: list[int] = []
    run(bench, ListSource([*docs(30), *docs(5, start=50)]), LocalCrew(bench.store, bench.encoder),
        pace=told.append)  # fmt: skip
    assert sum(told) <= 5
    assert len(told) > 5


def test_too_many_bad_rows_end_the_run_once_all_is_done(bench: DictBench) -> None:
    bad = Letters(limit=0)
    rows = [doc("a"), doc("b", payload_of_others=1), *docs(20)]
    bench.run([doc("b")])
    other = ListSource(rows, name="list:b")  # its "b" belongs to the other list
    with pytest.raises(TooManyBadRows):
        run(bench, other, LocalCrew(bench.store, bench.encoder), letters=bad)
    assert bad.rows[0][0] == "b"
    assert len(bench.contents()) >= 4


def test_an_error_is_raised_once_the_others_are_done(bench: DictBench) -> None:
    def fail() -> None:
        raise ConnectionError("the server is gone")

    proxy: Any = Proxy(bench.store, "insert", fail, 2)
    with pytest.raises(ConnectionError, match="the server is gone"):
        run(bench, ListSource(docs(40)), LocalCrew(proxy, bench.encoder))
    assert len(bench.contents()) == 12  # of the four that were out, one failed


class Remembering:
    """A `RememberingEncoder` over a dictionary."""

    def __init__(self, encoder: Encoder) -> None:
        self.space, self.encoding, self.dim = encoder.space, encoder.encoding, encoder.dim
        self.encode_documents = encoder.encode_documents
        self.encode_queries = encoder.encode_queries
        self.kept: dict[str, Vector] = {}

    def recall(self, hashes: Sequence[str]) -> dict[str, Vector]:
        return {key: self.kept[key] for key in hashes if key in self.kept}

    def remember(self, vectors: Mapping[str, Vector]) -> None:
        self.kept.update(vectors)


def test_vectors_are_remembered_and_not_embedded_again(bench: DictBench) -> None:
    memory = Remembering(bench.encoder)
    crew = LocalCrew(bench.store, bench.encoder)
    run(bench, ListSource(docs(20)), crew, encoder=memory)
    assert len(memory.kept) == 20
    make_collection(bench.store, bench.encoder, COPY)
    before = bench.encoder.texts
    report = run(bench, ListSource(docs(25)), crew, encoder=memory, collection=COPY)
    assert (report.cached, report.embedded, bench.encoder.texts - before) == (20, 5, 5)
    assert len(memory.kept) == 25
