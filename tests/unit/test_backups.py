"""Backups of a registry, and bringing it back."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from reindex.errors import Conflict, RegistryError, RegistryTooNew
from reindex.registry import Registry
from reindex.registry.api_keys import ApiKeys
from reindex.registry.backups import back_up, examine, prune
from reindex.registry.canaries import Canaries
from reindex.registry.catalog import RegistryCatalog
from reindex.registry.control import Control
from reindex.registry.jobs import JobBook
from reindex.registry.owners import OwnerBook, OwnerRecord
from reindex.registry.replacing import REV_GAP, Restored
from reindex.registry.restoring import restore


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def registry(home: Path) -> Registry:
    registry = Registry(home / "registry.db", create=True)
    registry.add_version(base="b", kind="base", recipe={"seed": 1})
    registry.next_rev(5)
    return registry


@pytest.fixture
def backup(registry: Registry, tmp_path: Path) -> Path:
    return back_up(registry, tmp_path / "backup.db").path


def bring_back(home: Path, backup: Path, *, force: bool = False, dry_run: bool = False) -> Restored:
    return restore(
        home / "registry.db", backup, alias="docs", who="me@here", force=force, dry_run=dry_run
    )


def names(home: Path) -> list[str]:
    return [item.name for item in Registry(home / "registry.db").versions()]


# -- backups


def test_a_backup_says_when_and_what_and_is_one_private_file(
    registry: Registry, tmp_path: Path
) -> None:
    made = back_up(registry, tmp_path / "new" / "backup.db")
    assert (made.versions, made.collections, made.comparisons, made.promotions) == (1, 0, 0, 0)
    assert made.taken_at is not None
    assert made.when.startswith("the backup of 20")
    assert [file.name for file in made.path.parent.iterdir()] == ["backup.db"]
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert examine(made.path) == made


def test_a_file_is_never_overwritten(registry: Registry, backup: Path) -> None:
    before = backup.read_bytes()
    with pytest.raises(RegistryError, match="exists already"):
        back_up(registry, backup)
    assert backup.read_bytes() == before


def test_in_a_folder_they_are_dated_and_the_oldest_go(registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    made = [back_up(registry, folder).path for _ in range(4)]
    (folder / "notes.txt").write_text("not ours")
    left = folder / ".registry-20200101T000000Z.db.part"
    left.write_text("of a backup that was killed long ago")
    os.utime(left, (0, 0))
    assert prune(folder, 2) == made[:2]
    assert sorted(file.name for file in folder.iterdir()) == sorted(
        [*(file.name for file in made[2:]), "notes.txt"]
    )


def test_a_backup_can_be_read_from_a_read_only_folder(backup: Path) -> None:
    backup.parent.chmod(0o500)
    try:
        assert examine(backup).versions == 1
    finally:
        backup.parent.chmod(0o700)


def test_a_plain_copy_with_its_log_counts_with_what_is_in_the_log(
    registry: Registry, tmp_path: Path
) -> None:
    registry.add_version(base="b", kind="base", recipe={})
    copied = tmp_path / "copied"
    copied.mkdir()
    for file in registry.path.parent.iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    assert (copied / "registry.db-wal").stat().st_size > 0
    found = examine(copied / "registry.db")
    assert (found.versions, found.taken_at, found.when) == (2, None, "registry.db")


@pytest.mark.parametrize("kind", ["absent", "folder", "text", "empty", "other", "torn", "flipped"])
def test_what_is_no_sound_backup_is_refused(kind: str, home: Path, backup: Path) -> None:
    bad = backup.with_name("bad.db")
    content = backup.read_bytes()
    if kind == "folder":
        bad.mkdir()
    elif kind == "other":
        with sqlite3.connect(bad) as conn:
            conn.execute("CREATE TABLE notes (text)")
    elif kind != "absent":
        page = bytearray(content)
        page[4096 * 3 : 4096 * 3 + 64] = b"\xff" * 64
        bad.write_bytes(
            {"text": b"not a database" * 99, "empty": b"", "torn": content[: len(content) // 2],
             "flipped": bytes(page)}[kind]
        )  # fmt: skip
    with pytest.raises(RegistryError):
        bring_back(home, bad, force=True)
    assert names(home) == ["v1"]


def test_a_row_that_refers_to_nothing_is_damage(home: Path, backup: Path) -> None:
    with sqlite3.connect(backup) as conn:
        conn.execute("INSERT INTO training_queries VALUES ('v9', 'x')")
    with pytest.raises(RegistryError, match="training_queries refers to one of versions"):
        bring_back(home, backup)


# -- restoring


def test_nothing_is_lost_where_nothing_happened_since(home: Path, backup: Path) -> None:
    done = bring_back(home, backup)
    assert (done.lost, done.kept, done.alias) == ({}, None, None)
    assert names(home) == ["v1"]


def test_into_a_home_without_a_registry(home: Path, backup: Path, tmp_path: Path) -> None:
    new = tmp_path / "elsewhere" / "home"
    done = bring_back(new, backup)
    assert names(new) == ["v1"]
    assert (done.lost, done.kept) == ({}, None)
    assert [file.name for file in new.iterdir() if not file.name.startswith("registry.db")] == []
    # what was written between the backup and the loss had revs that nobody may get again
    assert Registry(new / "registry.db").next_rev() == 5 + REV_GAP + 1


def test_what_would_be_lost_is_named_and_stays(
    home: Path, registry: Registry, backup: Path
) -> None:
    registry.add_version(base="b", kind="base", recipe={})
    with pytest.raises(Conflict, match=r"versions \(1\).*--force"):
        bring_back(home, backup)
    assert bring_back(home, backup, dry_run=True).lost == {"versions": 1}
    assert names(home) == ["v1", "v2"]


def test_force_brings_it_back_and_keeps_a_copy(
    home: Path, registry: Registry, backup: Path
) -> None:
    registry.update_version("v1", state="exported", space="s")
    registry.add_version(base="b", kind="base", recipe={})
    done = bring_back(home, backup, force=True)
    assert done.lost == {"versions": 2}
    assert [item.state for item in registry.versions()] == ["created"]  # also where it was open
    assert done.kept is not None
    assert examine(done.kept).versions == 2
    again = bring_back(home, done.kept, force=True)
    assert names(home) == ["v1", "v2"]
    rows = registry.execute("SELECT who, file FROM restores ORDER BY id").fetchall()
    assert rows == [("me@here", backup.name), ("me@here", again.backup.path.name)]


def test_numbers_are_not_given_out_twice(home: Path, registry: Registry, backup: Path) -> None:
    run = registry.start_run("build", "v1")
    Control(registry).end(run.id, "done", {})
    rev = registry.next_rev(10)
    bring_back(home, backup, force=True)
    assert registry.next_rev() == rev + 1
    assert registry.start_run("build", "v1").id == run.id + 1


def test_an_emptied_registry_counts_as_behind(home: Path, backup: Path) -> None:
    for file in home.iterdir():
        file.unlink()
    Registry(home / "registry.db", create=True).close()
    assert bring_back(home, backup).kept is None
    assert Registry(home / "registry.db").next_rev() == 5 + REV_GAP + 1


def test_a_flip_by_restoring_needs_force(home: Path, registry: Registry, tmp_path: Path) -> None:
    catalog = RegistryCatalog(registry)
    catalog.set_alias("docs", "docs--v1")
    backup = back_up(registry, tmp_path / "then.db").path
    catalog.set_alias("docs", "docs--v2")
    with pytest.raises(Conflict, match="docs--v1 would be live instead of docs--v2"):
        bring_back(home, backup)
    assert bring_back(home, backup, force=True).alias == ("docs--v1", "docs--v2")
    assert catalog.aliases() == {"docs": "docs--v1"}


def test_revoked_keys_stay_revoked(home: Path, registry: Registry, tmp_path: Path) -> None:
    keys = ApiKeys(registry)
    stolen = keys.add("ci", ["operate"], "me")
    backup = back_up(registry, tmp_path / "then.db").path
    keys.revoke("ci")
    assert bring_back(home, backup).lost == {}
    assert keys.find(stolen) is None


def test_a_flip_is_not_told_again(home: Path, registry: Registry, tmp_path: Path) -> None:
    registry.execute(
        "INSERT INTO promotions (kind, alias, to_collection, version, forced, reason, conditions, "
        "who, pid, state, created_at) VALUES ('promote', 'docs', 'c', 'v1', 0, '', '{}', 'me', 1, "
        "'done', '2026')"
    )
    backup = back_up(registry, tmp_path / "then.db").path
    registry.execute("INSERT INTO told_flips VALUES (1, 1, '', '2026', '2026')")
    assert bring_back(home, backup).lost == {}
    assert registry.execute("SELECT told_at FROM told_flips").fetchall() == [("2026",)]


def test_what_ran_then_does_not_run_now(home: Path, registry: Registry, tmp_path: Path) -> None:
    control, canaries = Control(registry), Canaries(registry)
    registry.add_version(base="b", kind="base", recipe={})
    run = control.begin("build", "v1", ["collection:docs--v1"], "me")
    canary = canaries.start("docs", candidate=("v2", "c2"), live=("v1", "c1"), who="me")
    canaries.set(canary, 0.5, "split", "me")
    registry.execute(
        "INSERT INTO owner VALUES (1, ?, 'gone', NULL, '', '/nowhere', 't', '0')", [os.getpid()]
    )
    backup = back_up(registry, tmp_path / "then.db").path
    new = tmp_path / "new"
    bring_back(new, backup)
    restored = Registry(new / "registry.db")
    assert [(item.id, item.state) for item in restored.runs()] == [(run.id, "interrupted")]
    assert Control(restored).running() == []
    assert OwnerBook(restored).current() is None
    assert Canaries(restored).running("docs") is None
    control.end(run.id, "done", {})


def test_not_while_something_runs_even_by_force(
    home: Path, registry: Registry, backup: Path
) -> None:
    control = Control(registry)
    run = control.begin("build", "v1", [], "me")
    with pytest.raises(Conflict, match="build v1"):
        bring_back(home, backup, force=True)
    control.end(run.id, "done", {})
    assert bring_back(home, backup, force=True).lost == {"runs": 1}


def test_not_while_a_server_has_jobs_and_nobody_stays_logged_in(
    home: Path, registry: Registry, backup: Path
) -> None:
    jobs, keys = JobBook(registry), ApiKeys(registry)
    keys.add("ci", ["operate"], "me")
    registry.execute("INSERT INTO sessions VALUES ('hash', 'ci', '', '9999')")
    job, _ = jobs.add("build", {"name": "v1"}, "me")
    then = back_up(registry, home.parent / "then.db").path
    with pytest.raises(Conflict, match="build v1"):
        bring_back(home, then, force=True)
    jobs.end(job.id, "done", {})
    assert bring_back(home, then, force=True).lost == {"jobs": 1}
    assert [item.state for item in jobs.all()] == ["interrupted"]
    assert registry.execute("SELECT * FROM sessions").fetchall() == []


def test_not_while_there_is_an_owner_even_by_force(
    home: Path, registry: Registry, backup: Path
) -> None:
    OwnerBook(registry).claim(OwnerRecord.mine("/nowhere", "token", "0"))
    with pytest.raises(Conflict, match=f"kill {os.getpid()}"):
        bring_back(home, backup, force=True)


@pytest.mark.parametrize("damage", ["header", "pages"])
def test_a_damaged_registry_is_set_aside(
    damage: str, home: Path, registry: Registry, backup: Path
) -> None:
    registry.close()
    path = home / "registry.db"
    content = bytearray(path.read_bytes())
    content[: 4096 if damage == "header" else 0] = b"\xff" * (4096 if damage == "header" else 0)
    if damage == "pages":
        content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(bytes(content))
    path.with_name("registry.db-wal").write_bytes(b"what the damaged one's log held")
    done = bring_back(home, backup)
    assert names(home) == ["v1"]
    assert done.kept is not None
    assert done.kept.read_bytes() == bytes(content)
    assert done.kept.with_name(done.kept.name + "-wal").exists()


def test_a_log_without_its_registry_does_not_get_into_the_new_one(
    home: Path, registry: Registry, backup: Path
) -> None:
    registry.add_version(base="b", kind="base", recipe={})  # in the log alone
    log = (home / "registry.db-wal").read_bytes()
    registry.close()
    for file in home.iterdir():
        file.unlink()
    (home / "registry.db-wal").write_bytes(log)
    bring_back(home, backup)
    assert names(home) == ["v1"]


def test_a_backup_of_an_older_release_is_brought_up_to_date(
    home: Path, backup: Path, tmp_path: Path
) -> None:
    with sqlite3.connect(backup) as conn:
        conn.execute("DROP TABLE restores")
        conn.execute("DELETE FROM _sqlite_migrations WHERE name = '0020_restores'")
    bring_back(tmp_path / "new", backup)
    restored = Registry(tmp_path / "new" / "registry.db")
    assert restored.execute("SELECT count(*) FROM restores").fetchone() == (1,)


def test_a_backup_of_a_newer_release_is_refused(home: Path, backup: Path) -> None:
    with sqlite3.connect(backup) as conn:
        conn.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('reindex', '9999_from_the_future', '')"
        )
    with pytest.raises(RegistryTooNew, match=backup.name):
        bring_back(home, backup, force=True)


def test_every_table_goes_back_or_on_by_decision(registry: Registry, home: Path) -> None:
    """A new table is copied and compared without being named anywhere."""
    registry.execute("CREATE TABLE of_tomorrow (x INTEGER) STRICT")
    registry.execute("INSERT INTO of_tomorrow VALUES (1)")
    then = back_up(registry, home.parent / "then.db").path
    registry.execute("UPDATE of_tomorrow SET x = 2")
    assert bring_back(home, then, force=True).lost == {"of_tomorrow": 1}
    assert registry.execute("SELECT x FROM of_tomorrow").fetchall() == [(1,)]
