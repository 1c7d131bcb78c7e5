"""Single writes: acknowledged ones are in what is live, and get everywhere else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reindex.errors import CollectionNotFound, WriteNotAcknowledged, WriteRefused
from reindex.indexing import Ack, Indexer, Write
from reindex.indexing.apply import apply, replay
from reindex.records import Document, Payload, point_id
from reindex.stages.building import build
from reindex.stages.promoting import promote
from tests.hash_project import HashWorkspace, encoder_of, hash_project, write_documents

TEXTS = [f"the text of document number {number}" for number in range(40)]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[HashWorkspace]:
    """v1 is live, built from files; v2 is a write target."""
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
        build(workspace, "v2")
        yield workspace


def payload_of(workspace: HashWorkspace, collection: str, id: int | str) -> Payload | None:
    key = point_id(id)
    found = workspace.store.retrieve(collection, [key], with_payload=True, with_vector=True)
    if key not in found:
        return None
    point = found[key]
    text = "\n".join(filter(None, (point.payload.get("title"), point.payload["text"])))
    version = collection.rpartition("--")[2]
    expected = encoder_of(version).encode_documents([text])[0]
    assert point.vector is not None
    assert abs(float(point.vector @ expected) - 1) < 1e-5, "the vector is of another text"
    return point.payload


BOTH = ("docs--v1", "docs--v2")


def test_a_write_is_in_every_collection_with_its_own_encoder(project: HashWorkspace) -> None:
    acks = Indexer(project).upsert(("new", "a new text", {"tenant": 3}))
    assert [(ack.id, ack.collection, ack.pending) for ack in acks] == [("new", "docs--v1", ())]
    for name in BOTH:
        assert payload_of(project, name, "new") == {"text": "a new text", "tenant": 3}
    assert project.retriever().search("a new text")[0].id == "new"
    assert project.journal.backlog() == []
    assert project.registry.execute("SELECT count(*) FROM journal").fetchone()[0] == 0


def test_documents_come_in_every_form(project: HashWorkspace) -> None:
    indexer = Indexer(project)
    indexer.upsert(Document("a", "text a", {}))
    indexer.upsert([Write("b", None, {"title": "B", "text": "text b"}), (5, "text five", {})])
    assert payload_of(project, "docs--v1", "a") == {"text": "text a"}
    assert payload_of(project, "docs--v2", "b") == {"title": "B", "text": "text b"}
    assert payload_of(project, "docs--v2", 5) == {"text": "text five"}
    indexer.upsert(("b", "newer", {"title": "B"}))
    assert payload_of(project, "docs--v2", "b") == {"title": "B", "text": "newer"}


def test_the_file_s_documents_are_taken_over_and_deleted(project: HashWorkspace) -> None:
    indexer = Indexer(project)
    indexer.upsert(("d3", "edited", {}))
    indexer.delete(["d4", "never there"])
    for name in BOTH:
        assert payload_of(project, name, "d3") == {"text": "edited"}
        assert payload_of(project, name, "d4") is None
        assert project.store.count(name) == len(TEXTS) - 1
    tombstones = project.journal.deleted([point_id(id) for id in ("d3", "d4", "never there")])
    assert tombstones.keys() == {point_id("d4"), point_id("never there")}
    indexer.upsert(("d4", "back", {}))
    assert project.journal.deleted([point_id("d4")]) == {}


@pytest.mark.parametrize("cache", [True, False])
def test_a_text_that_was_embedded_before_is_not_again(tmp_path: Path, cache: bool) -> None:
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path, embed={"cache": cache}) as project:
        build(project, "v1")
        promote(project, "v1")
        build(project, "v2")
        indexer, before = Indexer(project), project.embedded
        indexer.upsert([("copy", TEXTS[3], {}), ("new", "a new text", {})])
        first = project.embedded - before
        indexer.delete("new")
        indexer.upsert([("other", "a new text", {}), ("d5", TEXTS[6], {})])
        assert (first, project.embedded - before) == ((2, 2) if cache else (4, 8))
        for name in BOTH:
            assert payload_of(project, name, "other") == {"text": "a new text"}
            assert payload_of(project, name, "copy") == {"text": TEXTS[3]}
    with HashWorkspace(project.settings) as later:
        Indexer(later).upsert(("again", "a new text", {}))
        assert later.embedded == (0 if cache else 2)


def test_a_payload_change_embeds_nothing(project: HashWorkspace) -> None:
    indexer = Indexer(project)
    indexer.upsert([("a", "text a", {"tenant": 1}), ("b", "text a", {})])
    encoders = [project._encoders[name] for name in BOTH]
    assert [encoder.texts for encoder in encoders] == [1, 1]  # type: ignore[attr-defined]
    indexer.upsert(("a", "text a", {"tenant": 2}))
    assert [encoder.texts for encoder in encoders] == [1, 1]  # type: ignore[attr-defined]
    for name in BOTH:
        assert payload_of(project, name, "a") == {"text": "text a", "tenant": 2}


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (("", "x", {}), "blank"),
        ((True, "x", {}), "got bool"),
        ((2**64, "x", {}), "64 bits"),
        (("a", " ", {}), "blank"),
        (("a", None, {"tenant": 1}), "no text in"),
        (("a", "x", {"_reindex": {}}), "reserved"),
        (("a", "x", {"text": "y"}), "both alike"),
        (("a", "x", {"n": float("nan")}), "not JSON compliant"),
        (("a", "x", {"n": object()}), "not JSON serializable"),
        (("a", "x\ud800", {}), "surrogate"),
        (("a", "x", {"n": "\ud800"}), "surrogate"),
    ],
)
def test_a_bad_document_is_named_and_nothing_is_written(
    project: HashWorkspace, write: Any, message: str
) -> None:
    with pytest.raises(WriteRefused, match=rf"document .*{message}.*Nothing of this call"):
        Indexer(project).upsert([("good", "a good one", {}), write])
    assert payload_of(project, "docs--v1", "good") is None


def test_nothing_live_is_an_error(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as workspace, pytest.raises(CollectionNotFound, match="nothing"):
        Indexer(workspace).upsert(("a", "text", {}))


def broken(project: HashWorkspace, collection: str) -> None:
    """The collection's encoder raises from now on."""
    version = collection.rpartition("--")[2]

    class Broken:
        space, encoding, dim = encoder_of(version).space, encoder_of(version).encoding, 32

        def encode_documents(self, texts: Any) -> Any:
            raise RuntimeError("the graph is broken")

    project._encoders[collection] = Broken()  # type: ignore[assignment]


def test_a_broken_candidate_waits_in_the_journal(project: HashWorkspace) -> None:
    broken(project, "docs--v2")
    indexer = Indexer(project)
    assert indexer.upsert(("a", "one", {}))[0].pending == ("docs--v2",)
    assert indexer.upsert(("a", "two", {}))[0].pending == ("docs--v2",)
    assert payload_of(project, "docs--v1", "a") == {"text": "two"}
    backlog = project.journal.backlog()
    assert [(item.collection, item.writes) for item in backlog] == [("docs--v2", 2)]
    assert "the graph is broken" in str(backlog[0].error)
    del project._encoders["docs--v2"]
    assert replay(project) == 1
    assert payload_of(project, "docs--v2", "a") == {"text": "two"}
    assert project.journal.backlog() == []


def test_a_failing_live_collection_is_not_acknowledged(project: HashWorkspace) -> None:
    broken(project, "docs--v1")
    with pytest.raises(WriteNotAcknowledged, match=r"'a'.*docs--v1.*the graph is broken"):
        Indexer(project).upsert(("a", "one", {}))
    assert {item.collection for item in project.journal.backlog()} == set(BOTH)
    del project._encoders["docs--v1"]
    replay(project)
    for name in BOTH:
        assert payload_of(project, name, "a") == {"text": "one"}


def test_records_are_json(project: HashWorkspace) -> None:
    write = Write("a", "text", {"n": 1})
    assert Write.from_dict(write.as_dict()) == write
    ack = apply(project, [write])[0]
    assert Ack.from_dict(ack.as_dict()) == ack


def test_threads_on_the_same_documents_agree(project: HashWorkspace) -> None:
    """The last acknowledged write of each document, by rev, is what every collection holds."""
    last: dict[str, tuple[int, str | None]] = {}
    lock, errors = threading.Lock(), list[BaseException]()

    def work(seed: int) -> None:
        indexer = Indexer(project)
        try:
            for n in range(12):
                id, text = f"w{(n * seed) % 5}", f"text {seed} {n}"
                gone = n % 4 == 3
                ack = (indexer.delete(id) if gone else indexer.upsert((id, text, {"n": n})))[0]
                with lock:
                    last[id] = max(last.get(id, (0, None)), (ack.rev, None if gone else text))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2, 3, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert project.journal.backlog() == []
    for name in BOTH:
        for id, (_, text) in last.items():
            found = payload_of(project, name, id)
            assert (found and found["text"]) == text


def test_a_build_from_the_files_leaves_single_writes(project: HashWorkspace) -> None:
    indexer = Indexer(project)
    indexer.upsert([("d3", "edited", {}), ("new", "only here", {})])
    indexer.delete("d4")
    for version in ("v1", "v2"):
        report = build(project, version)
        assert report.complete
        assert (report.deleted, report.inserted) == (0, 0)
        name = f"docs--{version}"
        assert payload_of(project, name, "d3") == {"text": "edited"}
        assert payload_of(project, name, "new") == {"text": "only here"}
        assert payload_of(project, name, "d4") is None


def test_a_new_version_gets_what_only_the_live_collection_has(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path, versions=3) as project:
        build(project, "v1")
        promote(project, "v1")
        indexer = Indexer(project)
        indexer.upsert([("d3", "edited", {}), ("new", "only here", {})])
        indexer.delete("d4")
        report = build(project, "v3")
        assert report.complete
        built = project.registry.collection("docs--v3")
        assert built is not None
        assert (built.points, built.coverage) == (len(TEXTS), 1.0)
        assert payload_of(project, "docs--v3", "d3") == {"text": "edited"}
        assert payload_of(project, "docs--v3", "new") == {"text": "only here"}
        assert payload_of(project, "docs--v3", "d4") is None
        indexer.delete("new")
        assert build(project, "v3").complete
        assert payload_of(project, "docs--v3", "new") is None
        assert project.journal.backlog() == []
