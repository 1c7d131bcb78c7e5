"""The registry: migrations, records, transactions, several processes."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from pathlib import Path

import pytest

from reindex.errors import Conflict, RegistryError, RegistryTooNew, UnknownVersion
from reindex.registry import Registry
from reindex.registry.catalog import RegistryCatalog
from reindex.registry.judged_uses import JudgedUses


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry.db", create=True)


def test_a_missing_registry_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="reindex init"):
        Registry(tmp_path / "registry.db")


def test_it_is_in_wal_mode(registry: Registry) -> None:
    assert registry.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_a_newer_registry_is_refused_and_left_alone(registry: Registry) -> None:
    with sqlite3.connect(registry.path) as conn:
        conn.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('reindex', '9999_from_the_future', '')"
        )
    before = registry.path.read_bytes()
    with pytest.raises(RegistryTooNew, match="9999_from_the_future"):
        Registry(registry.path)
    assert registry.path.read_bytes() == before


def test_the_backup_holds_what_was_there(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reindex.registry import file as registry_file

    registry.add_version(base="b", kind="base", recipe={})
    known = registry_file._migrations()
    known(name="0002_more")(lambda db: db.execute("CREATE TABLE more (x INTEGER)"))
    monkeypatch.setattr(registry_file, "_migrations", lambda: known)
    assert Registry(registry.path).execute("SELECT * FROM more").fetchall() == []
    backup = registry.path.with_name("registry.db.before-0002_more")
    with sqlite3.connect(backup) as conn:
        assert conn.execute("SELECT name FROM versions").fetchall() == [("v1",)]
        tables = {row[0] for row in conn.execute("SELECT name FROM sqlite_master")}
    assert "more" not in tables


def test_a_failing_migration_changes_nothing(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reindex.registry import file as registry_file

    known = registry_file._migrations()
    known(name="0002_bad")(
        registry_file._applier("CREATE TABLE more (x INTEGER);\nINSERT INTO nowhere VALUES (1);\n")
    )
    monkeypatch.setattr(registry_file, "_migrations", lambda: known)
    with pytest.raises(RegistryError):
        Registry(registry.path)
    monkeypatch.undo()
    tables = {row[0] for row in registry.execute("SELECT name FROM sqlite_master")}
    assert "more" not in tables
    assert Registry(registry.path).versions() == []


def test_a_damaged_file_is_an_error_that_names_the_backup(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    path.write_bytes(b"not a database, " * 100)
    with pytest.raises(RegistryError, match="backup"):
        Registry(path)


def test_versions_are_numbered_and_kept(registry: Registry) -> None:
    registry.add_version(base="a", kind="base", recipe={"x": 1})
    registry.add_version(base="b", kind="fine-tuned", recipe={})
    registry.update_version("v1", state="exported", dim=384, report={"cosine": 0.99})
    first, second = registry.versions()
    assert (first.name, first.recipe, first.report) == ("v1", {"x": 1}, {"cosine": 0.99})
    assert (second.name, second.state) == ("v2", "created")
    with pytest.raises(UnknownVersion, match=r"'v9'.*v1, v2"):
        registry.version("v9")


def test_a_transaction_rolls_back_as_a_whole(registry: Registry) -> None:
    def add_two_of_one_name() -> None:
        with registry.transaction():
            registry.add_version(base="a", kind="base", recipe={})
            registry.execute("INSERT INTO versions SELECT * FROM versions")

    with pytest.raises(sqlite3.IntegrityError):
        add_two_of_one_name()
    assert registry.versions() == []


def test_training_queries(registry: Registry) -> None:
    registry.add_version(base="a", kind="base", recipe={})
    registry.record_training_queries("v1", ["x", "y", "x"])
    assert registry.trained_on("v1", ["y", "z"]) == {"y"}


def test_intents_close_once(registry: Registry) -> None:
    registry.add_version(base="a", kind="base", recipe={})
    intent = registry.add_intent(
        kind="promote", conditions=[{"name": "recall"}], alias="docs", from_collection=None,
        to_collection="docs--v1", version="v1", comparison=None, forced=False, reason="",
        who="me@here",
    )  # fmt: skip
    assert registry.close_intent(intent.id, "done").conditions == [{"name": "recall"}]
    with pytest.raises(Conflict):
        registry.close_intent(intent.id, "abandoned")


def test_the_catalog_keeps_aliases_and_metadata(registry: Registry) -> None:
    catalog = RegistryCatalog(registry)
    catalog.merge_collection_metadata("c", {"a": 1, "b": 2})
    catalog.merge_collection_metadata("c", {"b": 3})
    catalog.record_owner("c", 42)
    catalog.set_alias("docs", "c")
    catalog.set_alias("docs", "d")
    assert catalog.collection_metadata("c") == {"a": 1, "b": 3}
    assert catalog.owner("c") == 42
    assert catalog.aliases() == {"docs": "d"}
    catalog.forget_collection("c")
    assert catalog.collection_metadata("c") is None


def _add_versions(path: str, count: int) -> None:
    registry = Registry(Path(path), create=True)
    for _ in range(count):
        registry.add_version(base="b", kind="base", recipe={})


def test_processes_that_create_and_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = str(tmp_path / "registry.db")
    workers = [context.Process(target=_add_versions, args=(path, 15)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert [item.number for item in Registry(Path(path)).versions()] == list(range(1, 61))


def test_threads_share_a_registry(registry: Registry) -> None:
    threads = [
        threading.Thread(target=lambda: registry.add_version(base="b", kind="base", recipe={}))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(registry.versions()) == 8


def test_looks_of_every_kind_at_a_judged_set_are_counted(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry.db", create=True)
    looks = JudgedUses(registry)
    looks.add("dev", "advice")
    looks.add("dev", "trials", looks=3)
    looks.add("test", "advice")
    assert (looks.count("dev"), looks.count("test"), looks.count("other")) == (4, 1, 0)
    assert registry.judged_set_uses("dev") == 4
