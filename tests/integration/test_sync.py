"""`sync` keeps collections in step with an SQL database and with files, on the real engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from reindex.build import BuildReport
from reindex.config import load_settings
from reindex.errors import BuildError, DataError, SourceChanged, TooManyDeletes, UnknownVersion
from reindex.records import CollectionSpec, Vector
from reindex.stages.building import build
from reindex.stages.promoting import promote
from reindex.stages.syncing import Synced, sync
from tests.copying import copy_project
from tests.hash_encoder import HashEncoder
from tests.hash_project import DIM, HashWorkspace, hash_project, write_documents
from tests.sql_fixtures import SOURCE, database, put, remove

ROWS = 300


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """v1 was live, v2 is live, v3 is built; 300 articles in SQL. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("sync") / "project"
    folder.mkdir()
    put(folder, ((n, f"text {n}") for n in range(ROWS)))
    with hash_project(folder, versions=3, source=SOURCE) as workspace:
        for version in ("v1", "v2", "v3"):
            build(workspace, version)
        for version in ("v1", "v2"):
            promote(workspace, version, force=True, reason="test")
    return folder


@pytest.fixture
def project(built: Path, tmp_path: Path) -> HashWorkspace:
    return HashWorkspace(load_settings(copy_project(built, tmp_path / "project")))


def change(folder: Path) -> None:
    """Two new articles, three edited ones, one with another tenant, four deleted."""
    put(folder, [(ROWS, "new"), (ROWS + 1, "new too")])
    put(folder, ((n, "edited") for n in (10, 11, 12)))
    put(folder, [(20, "text 20")], tenant="b")
    remove(folder, 30, 31, 32, 33)


def report(synced: Synced) -> BuildReport:
    assert synced.error is None
    assert synced.report is not None
    return synced.report


def contents(workspace: HashWorkspace, collection: str) -> dict[Any, Any]:
    pages = workspace.store.scroll(collection, with_payload=True, with_vector=True)
    return {p.id: (p.payload, p.stamp, p.vector.tolist()) for page in pages for p in page}  # type: ignore[union-attr]


def test_live_and_previous_follow_the_database(project: HashWorkspace) -> None:
    with project:
        change(project.settings.root)
        before = project.embedded
        done = sync(project)
        assert [(item.collection, item.role) for item in done] == [
            ("docs--v2", "live"),
            ("docs--v1", "previous"),
        ]
        for item in done:
            found = report(item)
            assert (found.inserted, found.updated, found.payload_only) == (2, 3, 1)
            assert (found.deleted, found.unchanged, found.points) == (4, ROWS - 8, ROWS - 2)
            assert found.complete
        assert project.embedded - before == 2 * 5  # five titles with their bodies, for each
        payloads = {id: point[0] for id, point in contents(project, "docs--v2").items()}
        assert payloads[20]["tenant"] == "b"
        assert payloads[10]["body"] == "edited"
        assert 30 not in payloads
        hits = project.retriever().search(f"title {ROWS}\nnew", k=1)
        assert hits[0].id == ROWS
        untouched = project.registry.collection("docs--v3")
        assert untouched is not None
        assert untouched.points == ROWS


def test_a_sync_without_changes_embeds_and_changes_nothing(project: HashWorkspace) -> None:
    with project:
        before, embedded = contents(project, "docs--v2"), project.embedded
        (live, previous) = sync(project)
        assert (live.changed, previous.changed) == (0, 0)
        assert report(live).unchanged == ROWS
        assert project.embedded == embedded
        assert contents(project, "docs--v2") == before


def test_the_writes_of_a_sync_count_as_drift(project: HashWorkspace) -> None:
    with project:
        before = project.registry.collection("docs--v3")
        change(project.settings.root)
        sync(project, ["v3"])
        after = project.registry.collection("docs--v3")
        assert before is not None
        assert after is not None
        assert after.writes - before.writes == 10
        runs = [(run.kind, run.version, run.state) for run in project.registry.runs(1)]
        assert runs == [("sync", "v3", "done")]


def test_all_and_names_choose_the_collections(project: HashWorkspace) -> None:
    with project:
        names = [item.collection for item in sync(project, every=True)]
        assert names == ["docs--v2", "docs--v1", "docs--v3"]
        assert [item.role for item in sync(project, ["v3", "v3"])] == ["candidate"]
        with pytest.raises(UnknownVersion):
            sync(project, ["v9"])
        project.registry.add_version(base="hash", kind="base", recipe={})
        with pytest.raises(BuildError, match="reindex build v4"):
            sync(project, ["v4"])


def test_previous_is_left_once_the_hold_over_is_past(project: HashWorkspace) -> None:
    with project:
        retention = project.settings.retention.model_copy(update={"hold_over_days": 0.0})
        project.settings = project.settings.model_copy(update={"retention": retention})
        assert [item.role for item in sync(project)] == ["live"]


def test_before_anything_is_live_a_version_must_be_named(tmp_path: Path) -> None:
    put(tmp_path, [(1, "one")])
    with hash_project(tmp_path, source=SOURCE) as workspace:
        with pytest.raises(BuildError, match="Nothing is live yet"):
            sync(workspace)
        build(workspace, "v1")
        assert [item.role for item in sync(workspace, ["v1"])] == ["candidate"]


def test_a_dry_run_says_what_would_change_and_changes_nothing(project: HashWorkspace) -> None:
    with project:
        change(project.settings.root)
        before, embedded = contents(project, "docs--v2"), project.embedded
        rows = project.registry.collection("docs--v2")
        (planned, _) = sync(project, dry_run=True)
        assert planned.dry_run
        assert project.embedded == embedded
        assert contents(project, "docs--v2") == before
        assert project.registry.collection("docs--v2") == rows
        (done, _) = sync(project)
        for name in ("inserted", "updated", "payload_only", "deleted", "unchanged", "embedded",
                     "points", "dead"):  # fmt: skip
            assert getattr(report(planned), name) == getattr(report(done), name), name


def test_a_mass_delete_is_refused_by_both_and_the_rest_is_done(project: HashWorkspace) -> None:
    with project:
        remove(project.settings.root, *range(100))
        put(project.settings.root, [(200, "edited")])
        for dry_run in (True, False):
            done = sync(project, dry_run=dry_run)
            assert all(isinstance(item.error, TooManyDeletes) for item in done)
        assert project.store.count("docs--v2") == ROWS
        assert contents(project, "docs--v2")[200][0]["body"] == "edited"
        (live, previous) = sync(project, allow_deletes=True)
        assert (report(live).deleted, report(previous).deleted) == (100, 100)


def test_rows_that_go_bad_keep_their_points(project: HashWorkspace) -> None:
    with project:
        put(project.settings.root, [(5, float("inf"))])
        (live, _) = sync(project)
        assert (report(live).dead, report(live).deleted) == (1, 0)
        assert contents(project, "docs--v2")[5][0]["body"] == "text 5"
        letters = sorted((project.settings.home / "dead-letters").glob("sync-*.jsonl"))
        row = json.loads(letters[-1].read_text("utf-8"))
        assert (row["id"], row["line"]) == (5, 6)


def test_a_database_that_is_gone_changes_nothing(project: HashWorkspace) -> None:
    with project:
        (project.settings.root / "app.db").rename(project.settings.root / "away.db")
        (live, _) = sync(project)
        assert isinstance(live.error, DataError)
        assert project.store.count("docs--v2") == ROWS
        (project.settings.root / "away.db").rename(project.settings.root / "app.db")
        assert report(sync(project)[0]).complete


class Meddler(HashEncoder):
    """Changes the database while the first batch is embedded."""

    def __init__(self, change: Callable[[], None], *, seed: int = 2) -> None:
        super().__init__(DIM, seed=seed)
        self.change = change

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        if not self.calls:
            self.change()
        return super().encode_documents(texts)


def test_changes_during_a_sync_are_never_half_done(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project.settings.root
    put(folder, ((n, "edited") for n in range(50)))
    put(folder, ((n, "new") for n in range(ROWS, ROWS + 50)))

    def meddle() -> None:
        remove(folder, 5, ROWS + 5, 250)
        put(folder, [(7, "edited again"), (ROWS + 7, "new again"), (ROWS + 100, "later")])

    monkeypatch.setattr(project, "encoder", lambda *_, **__: Meddler(meddle))
    with project:
        sync(project, ["v2"])
        after = contents(project, "docs--v2")
        assert ROWS + 5 not in after  # gone before it was written: not brought back
        assert set(range(ROWS + 50)) - after.keys() <= {5, 250, ROWS + 5}
        monkeypatch.undo()
        sync(project, ["v2"])
        with database(folder) as db:
            expected = dict(db.execute("SELECT id, body FROM articles"))
        assert {id: p[0]["body"] for id, p in contents(project, "docs--v2").items()} == expected


def test_files_that_change_while_they_are_read_delete_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"text {n}" for n in range(50)]
    write_documents(tmp_path, texts)
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
        write_documents(tmp_path, [*texts[:45], "new"])  # four are gone, one is edited

        def write_on() -> None:
            write_documents(tmp_path, [*texts[:45], "new", *texts[46:48]])

        monkeypatch.setattr(workspace, "encoder", lambda *_, **__: Meddler(write_on, seed=1))
        (live,) = sync(workspace)
        assert isinstance(live.error, SourceChanged)
        assert "data/corpus.jsonl changed" in str(live.error)
        assert workspace.store.count("docs--v1") == 50
        monkeypatch.undo()
        (live,) = sync(workspace)
        assert (report(live).deleted, report(live).unchanged) == (2, 48)
        monkeypatch.setattr(workspace, "encoder", lambda *_, **__: Meddler(write_on, seed=1))
        write_documents(tmp_path, [*texts[:45], "new", *texts[46:49]])
        (live,) = sync(workspace)  # nothing to delete, nothing to complain of
        assert live.error is None


def test_what_was_taken_over_is_not_made_equal_to_the_source(project: HashWorkspace) -> None:
    with project:
        live = project.registry.collection("docs--v2")
        assert live is not None
        project.store.create(CollectionSpec("legacy", DIM, "single", None, {}))
        project.registry.add_collection(
            name="legacy", version="v1", space=live.space, encoding=live.encoding, build="b",
            layout="single", prefix_dim=None,
        )  # fmt: skip
        project.store.point_alias("docs", "legacy")
        with pytest.raises(BuildError, match="legacy was taken over"):
            sync(project)
        assert "legacy" not in [item.collection for item in sync(project, every=True)]


def test_files_are_followed_too(tmp_path: Path) -> None:
    write_documents(tmp_path, ["one", "two", "three"])
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
        write_documents(tmp_path, ["one", "deux", "three", "four"])
        (live,) = sync(workspace)
        assert (report(live).inserted, report(live).updated) == (1, 1)
