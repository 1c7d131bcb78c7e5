"""`reindex backup` and `reindex restore` with real processes: writers beside them, kills."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from reindex.cli import main
from reindex.registry import Registry
from reindex.registry.backups import back_up, examine
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.owner_fixtures import ROOT, recorded, start, until


@pytest.fixture
def project(tmp_path: Path) -> HashWorkspace:
    write_documents(tmp_path, [f"document {i} of the help centre" for i in range(20)])
    project = hash_project(tmp_path, versions=2, project={"name": "docs"})
    for version in ("v1", "v2"):
        project.build(version)
    project.promote("v1", force=True, reason="the first")
    return project


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    """A command in this process; what it said."""
    done = CliRunner().invoke(main, ["-c", str(folder), *arguments])
    assert done.exit_code == code, done.output
    return done.output


def run_json(folder: Path, *arguments: str) -> Any:
    return json.loads(run(folder, *arguments, "--json"))


def killed(folder: Path, point: str, *arguments: str) -> None:
    """Run a command that is killed at ``point``."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.kill_restore", point, "-c", str(folder), *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_project_comes_back_from_its_backup(project: HashWorkspace, tmp_path: Path) -> None:
    root = project.settings.root
    made = run_json(root, "backup", str(tmp_path / "then.db"))
    assert made["backup"]["promotions"] == 1
    assert "store" in made["not_in_it"]
    project.promote("v2", force=True, reason="a mistake")
    project.close()
    said = run(root, "restore", str(tmp_path / "then.db"), code=1)
    assert "docs--v1 would be live instead of docs--v2" in said
    said = run(root, "restore", str(tmp_path / "then.db"), "--force")
    assert "Live: docs--v1, before: docs--v2" in said
    assert run_json(root, "status")["live_version"] == "v1"
    with HashWorkspace(project.settings) as again:
        assert again.retriever().search("document 3 of the help centre").version == "v1"
        assert again.build("v1").embedded == 0  # the store was left as it is


def test_a_lost_home_is_named_and_built_again(project: HashWorkspace, tmp_path: Path) -> None:
    """The registry alone came back: the embedded collections did not."""
    backup = project.backup(tmp_path / "then.db").backup.path
    project.close()
    new = tmp_path / "new"
    new.mkdir()
    write_documents(new, [f"document {i} of the help centre" for i in range(20)])
    (new / "reindex.toml").write_bytes((tmp_path / "reindex.toml").read_bytes())
    with HashWorkspace.open(new) as other:
        done = other.restore(backup)
        assert done.missing == ("none", "none")  # hash encoders have no artifact
        assert any("`reindex build` makes it" in item for item in other.status().differences)
        assert other.build("v1").inserted == 20
        assert other.retriever().search("document 3 of the help centre").version == "v1"


def test_backups_are_whole_while_others_write(project: HashWorkspace, tmp_path: Path) -> None:
    """Every backup holds the registry between two transactions, never within one."""
    path, stop = project.registry.path, threading.Event()
    project.registry.execute("CREATE TABLE pairs (a INTEGER, b INTEGER) STRICT")
    written = []

    def write(number: int) -> None:
        registry = Registry(path)
        while not stop.is_set():
            with registry.transaction():
                registry.execute("INSERT INTO pairs VALUES (?, 0)", [number])
                registry.execute("UPDATE pairs SET b = a WHERE b = 0")
            written.append(number)
        registry.close()

    threads = [threading.Thread(target=write, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    counts = []
    for number in range(8):
        so_far = len(written)
        until(lambda so_far=so_far: len(written) > so_far or None, "a write")  # type: ignore[misc]
        file = back_up(project.registry, tmp_path / f"{number}.db").path
        with sqlite3.connect(file) as conn:
            assert conn.execute("SELECT count(*) FROM pairs WHERE a <> b").fetchone() == (0,)
            counts.append(conn.execute("SELECT count(*) FROM pairs").fetchone()[0])
    stop.set()
    for thread in threads:
        thread.join()
    assert counts == sorted(set(counts))
    assert len(written) > counts[-1] - 2


def test_a_backup_that_is_killed_leaves_none_of_its_name(
    project: HashWorkspace, tmp_path: Path
) -> None:
    target = tmp_path / "then.db"
    killed(project.settings.root, "before the backup gets its name", "backup", str(target))
    assert not target.exists()
    assert examine(project.backup(target).backup.path).versions == 2
    assert [file.name for file in tmp_path.glob("*.part")] == []


@pytest.mark.parametrize(
    "point",
    ["before the commit", pytest.param("before the copy of what is here", marks=pytest.mark.slow)],
)
def test_a_restore_that_is_killed_changed_nothing(
    point: str, project: HashWorkspace, tmp_path: Path
) -> None:
    backup = project.backup(tmp_path / "then.db").backup.path
    project.registry.add_version(base="hash", kind="base", recipe={})
    killed(project.settings.root, point, "restore", str(backup), "--force")
    assert len(project.registry.versions()) == 3  # also for who has it open
    assert project.restore(backup, force=True).lost == {"versions": 1}
    assert len(project.registry.versions()) == 2


@pytest.mark.parametrize(
    "point",
    [
        "before it gets its name",
        pytest.param("before the logs are set aside", marks=pytest.mark.slow),
        pytest.param("before the damaged one is set aside", marks=pytest.mark.slow),
    ],
)
def test_a_restore_over_a_damaged_registry_can_be_killed(
    point: str, project: HashWorkspace, tmp_path: Path
) -> None:
    backup = project.backup(tmp_path / "then.db").backup.path
    path = project.registry.path
    project.close()
    path.write_bytes(b"\xff" * 4096)
    killed(project.settings.root, point, "restore", str(backup))
    with HashWorkspace(project.settings) as again:
        again.restore(backup)
        assert again.live_collection() == "docs--v1"
        assert len(again.registry.versions()) == 2
    kept = [file for file in path.parent.iterdir() if file.name.endswith("Z")]
    assert kept[0].read_bytes() == b"\xff" * 4096


def test_backups_are_taken_beside_an_owner_and_restores_refused(
    project: HashWorkspace, tmp_path: Path
) -> None:
    root = project.settings.root
    project.close()
    with start(root, "own") as owner:
        try:
            record = until(lambda: recorded(root), "an owner")
            made = run_json(root, "backup", str(tmp_path))
            file = made["backup"]["path"]
            said = run(root, "restore", file, "--force", code=1)
            assert f"kill {record.pid}" in said
        finally:
            owner.terminate()
            owner.wait()
    assert run_json(root, "restore", file)["lost"] == {}


def test_keep_needs_a_folder(project: HashWorkspace, tmp_path: Path) -> None:
    said = run(project.settings.root, "backup", str(tmp_path / "x.db"), "--keep", "3", code=1)
    assert "folder" in said
    for _ in range(3):
        made = run_json(project.settings.root, "backup", str(tmp_path), "--keep", "2")
    assert len(made["removed"]) == 1
    assert len(list(tmp_path.glob("registry-*.db"))) == 2
