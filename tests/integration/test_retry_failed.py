"""Dead letters tried again: exactly those, from files, databases and collections."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from reindex.corpus.retrying import Letter, read_letters, retry_source, write_letters
from reindex.errors import BuildError, Cancelled
from reindex.pacing import Budget
from reindex.records import Vector
from reindex.stages import retrying
from reindex.stages.building import build
from reindex.stages.retrying import retry_failed
from tests.build_fixtures import BadRow, Letters, ListSource, docs
from tests.hash_encoder import HashEncoder
from tests.hash_project import DIM, HashWorkspace, hash_project

GOOD = [{"_id": f"d{n}", "title": "", "text": f"text {n}"} for n in range(300)]


def write_rows(folder: Path, rows: list[Any]) -> None:
    """A BEIR corpus of rows; what is text stands there as it is."""
    (folder / "data").mkdir(exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "data" / "corpus.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[HashWorkspace]:
    """Three bad rows: one without a text, one that is no JSON, one twice."""
    write_rows(
        tmp_path, [*GOOD[:100], {"_id": "empty", "text": ""}, "no json", *GOOD[100:], GOOD[7]]
    )
    with hash_project(tmp_path, versions=2, source={"max_bad_rows": 0.5}) as workspace:
        build(workspace, "v1")
        yield workspace


def letters(workspace: HashWorkspace) -> list[Letter]:
    (file,) = (workspace.settings.home / "dead-letters").iterdir()
    return read_letters(file)


def test_nothing_mended_leaves_the_letters_with_their_reasons(project: HashWorkspace) -> None:
    before = letters(project)
    assert len(before) == 3
    outcome = retry_failed(project, "v1")
    assert (outcome.tried, outcome.left) == (3, 3)
    assert letters(project) == before
    assert project.store.count("docs--v1") == 300
    assert outcome.report is not None
    assert outcome.report.embedded == 0


def test_what_is_mended_leaves_the_file_and_only_that_is_tried(project: HashWorkspace) -> None:
    mended = {"_id": "was no json", "text": "whole again"}
    rows = [*GOOD[:100], {"_id": "empty", "text": 5}, mended, *GOOD[100:]]
    write_rows(project.settings.root, [*rows, {"_id": "new", "text": "not in any letter"}])
    outcome = retry_failed(project)
    assert (outcome.version, outcome.tried, outcome.left) == ("v1", 3, 1)
    (left,) = letters(project)
    assert (left.id, left.reason) == ("empty", "text is int, expected text")
    stored = {
        point.stamp.id
        for page in project.store.scroll("docs--v1")
        for point in page
        if point.stamp is not None
    }
    assert "was no json" in stored
    assert "new" not in stored  # exactly those again
    assert len(stored) == 301  # and nothing was deleted
    built = project.registry.collection("docs--v1")
    assert built is not None
    assert (built.complete, built.points) == (True, 301)


def test_the_file_goes_with_its_last_letter(project: HashWorkspace) -> None:
    write_rows(project.settings.root, GOOD)  # the bad rows are gone
    outcome = retry_failed(project, "v1")
    assert (outcome.tried, outcome.left) == (3, 0)
    assert not Path(outcome.file).exists()
    again = retry_failed(project, "v1")
    assert (again.tried, again.report) == (0, None)


def test_the_last_build_s_letters_are_tried(project: HashWorkspace) -> None:
    write_rows(project.settings.root, [*GOOD, "bad"])
    build(project, "v1")
    build(project, "v2")
    assert retry_failed(project).version == "v2"
    assert retry_failed(project, "v1").tried == 1


def test_an_interrupted_retry_leaves_the_file(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = letters(project)

    def stop(*_: Any, **__: Any) -> None:
        raise Cancelled("by hand")

    with monkeypatch.context() as patch:
        patch.setattr(retrying, "one_pass", stop)
        with pytest.raises(Cancelled):
            retry_failed(project, "v1")
    assert letters(project) == before


def test_a_conflict_that_is_solved_makes_the_collection_complete(project: HashWorkspace) -> None:
    build(project, "v2", budget=Budget(texts=1))
    (page,) = project.store.scroll("docs--v1", page=10_000)
    stamp = page[0].stamp
    assert stamp is not None
    # somebody else's point where one of ours belongs
    from dataclasses import replace

    from reindex.records import PayloadChange

    project.store.update_payload(
        "docs--v1",
        [PayloadChange(page[0].id, {}, replace(stamp, source="other"))],
        {page[0].id: stamp},
    )
    assert not build(project, "v1").complete
    assert retry_failed(project, "v1").reasons["conflict"] == 1
    project.store.delete("docs--v1", {page[0].id: replace(stamp, source="other")})
    outcome = retry_failed(project, "v1")
    assert "conflict" not in outcome.reasons
    built = project.registry.collection("docs--v1")
    assert built is not None
    assert built.complete


class Tired(HashEncoder):
    """Fails at some texts, for want of memory."""

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        if any(text in ("text 5", "text 6") for text in texts):
            raise MemoryError("not now")
        return super().encode_documents(texts)


def test_what_the_encoder_could_not_embed_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path, GOOD)
    with hash_project(tmp_path, versions=1) as workspace:
        with monkeypatch.context() as patch:
            tired = Tired(DIM, seed=1)
            patch.setattr(HashWorkspace, "encoder", lambda *_, **__: tired)
            report = build(workspace, "v1")
            assert (report.failed, report.complete) == (2, False)
            outcome = retry_failed(workspace, "v1")  # still tired
            assert (outcome.left, outcome.reasons) == (2, {"encoder": 2})
        assert {letter.id for letter in letters(workspace)} == {"d5", "d6"}
        outcome = retry_failed(workspace, "v1")
        assert (outcome.tried, outcome.left) == (2, 0)
        built = workspace.registry.collection("docs--v1")
        assert built is not None
        assert (built.complete, built.points) == (True, 300)
        assert build(workspace, "v1").unchanged == 300


def test_a_version_without_a_build_has_nothing_to_retry(project: HashWorkspace) -> None:
    with pytest.raises(BuildError, match="reindex build v2"):
        retry_failed(project, "v2")


def test_letters_survive_a_file_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "letters.jsonl"
    kept = Letter("f", 1, "bad", None, "row")
    write_letters(path, [kept])
    with path.open("a", encoding="utf-8") as file:
        file.write('{"file": "f", "li')
    assert read_letters(path) == [kept]
    write_letters(path, [])
    assert not path.exists()
    assert read_letters(path) == []


def test_other_sources_are_filtered_by_id() -> None:
    source = ListSource([*docs(10), BadRow("bad-1"), BadRow("bad-2")])
    wanted = [Letter("list:a", 1, "x", id, "") for id in ("doc-3", "bad-1", "gone")]
    part = retry_source(source, [*wanted, Letter("list:a", 9, "x", None, "")])
    dead = Letters()
    assert [item.id for item in part.documents(dead)] == ["doc-3"]
    assert dead.ids == {"bad-1"}
    assert len(part.untried) == 1
    assert part.name == source.name
