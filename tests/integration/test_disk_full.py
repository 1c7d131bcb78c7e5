"""A full disk under the registry, the store and the temporary folder: told, kept, gone on with.

Where file systems can be mounted (root on Linux) on a real one that is full; a limit on file sizes
stands in for the temporary folder everywhere else.
"""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reindex.build.spill import SortedRuns
from reindex.config import load_settings
from reindex.errors import DiskFull
from reindex.registry.ledger import Version
from reindex.stages import supervision
from reindex.stages.building import build
from reindex.stores import edge
from tests.hash_encoder import HashEncoder
from tests.hash_project import HashWorkspace, hash_project, write_documents

DOCUMENTS = 3_000


class SmallDisk:
    """A file system in memory with a fixed size that can be filled up and emptied again."""

    def __init__(self, path: Path, megabytes: int) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot mount a small file system here: {done.stderr.strip()}")

    def fill(self, leave: int = 0) -> None:
        """Take all room but ``leave`` bytes."""
        with (
            contextlib.suppress(OSError),
            (self.path / "ballast").open("wb", buffering=0) as ballast,
        ):
            while ballast.write(b"\0" * 65536):
                pass
        with (self.path / "ballast").open("r+b") as ballast:
            ballast.truncate(max(0, ballast.seek(0, 2) - leave))

    def empty(self) -> None:
        (self.path / "ballast").unlink()

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    small = SmallDisk(tmp_path / "disk", 200)
    yield small
    small.close()


class Hooked(HashWorkspace):
    """A `HashWorkspace` that calls ``at`` before each batch."""

    at: Any = staticmethod(lambda number: None)

    def encoder(self, version: Version, **_: Any) -> Any:
        at = self.at

        class Encoder(HashEncoder):
            def encode_documents(self, texts: Any) -> Any:
                at(self.calls)
                return super().encode_documents(texts)

        return Encoder(32, seed=version.number)


def project_in(folder: Path, **values: Any) -> Hooked:
    folder.mkdir(exist_ok=True)
    write_documents(folder, [f"text {number}" for number in range(DOCUMENTS)])
    hash_project(folder, versions=1, **values).close()
    return Hooked(load_settings(folder))


def check_message(error: BaseException) -> None:
    message = str(error)
    for part in ("no room", "kept", "nothing was deleted", "same command again"):
        assert part in message


def finish(folder: Path, *, at_least: int) -> None:
    """Run again in a fresh process' stead: complete, and nothing embedded twice."""
    with Hooked(load_settings(folder)) as workspace:
        report = build(workspace, "v1")
        assert report.complete
        assert report.points == DOCUMENTS
        assert report.unchanged >= at_least
        assert workspace.registry.runs()[0].state == "done"
        assert [run.state for run in workspace.registry.runs()[1:]] != ["running"]


def test_the_store_s_disk_is_full(
    tmp_path: Path, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    with project_in(folder, store={"path": disk.path / "store"}) as workspace:

        def at(number: int) -> None:
            if number == 4:
                disk.fill(leave=edge.MIN_FREE // 2)

        workspace.at = at
        with pytest.raises(DiskFull) as full:
            build(workspace, "v1")
        check_message(full.value)
        assert str(disk.path) in str(full.value)
        assert "MiB free" in str(full.value)
        assert workspace.registry.runs()[0].state == "failed"
        assert workspace.store.count("docs--v1") >= 2 * 256  # readable, also while it is full
        workspace.at = lambda number: None
        with pytest.raises(DiskFull):  # still full: told again, at once
            build(workspace, "v1")
    disk.empty()
    finish(folder, at_least=2 * 256)


def test_the_registry_s_disk_is_full(
    tmp_path: Path, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "BEAT_S", 0.01)
    folder = tmp_path / "project"
    values = {"project": {"home": disk.path / "home"}, "store": {"path": tmp_path / "store"}}
    with project_in(folder, **values) as workspace:

        def at(number: int) -> None:
            if number == 4:
                workspace.registry.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                disk.fill()

        workspace.at = at
        with pytest.raises(DiskFull) as full:
            build(workspace, "v1")
        check_message(full.value)
        assert "registry" in str(full.value)
        with pytest.raises(DiskFull):
            build(workspace, "v1")
        disk.empty()
        workspace.at = lambda number: None
        # the very process that could not write down its end is not in its own way
        assert build(workspace, "v1").unchanged == DOCUMENTS
        states = [run.state for run in workspace.registry.runs()]
        assert states == ["done", "interrupted"]
    finish(folder, at_least=DOCUMENTS)


def test_the_temporary_folder_is_full(
    tmp_path: Path, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SortedRuns.__init__, "__kwdefaults__", {"value": 0, "tail": 500})
    monkeypatch.setattr("tempfile.tempdir", str(disk.path))
    folder = tmp_path / "project"
    with project_in(folder) as workspace:
        workspace.at = lambda number: disk.fill() if number == 2 else None
        with pytest.raises(DiskFull) as full:
            build(workspace, "v1")
        check_message(full.value)
        assert "TMPDIR" in str(full.value)
        assert workspace.registry.runs()[0].state == "failed"
    disk.empty()
    finish(folder, at_least=256)


def test_a_full_disk_under_the_dead_letters(tmp_path: Path, disk: SmallDisk) -> None:
    folder = tmp_path / "project"
    values = {"project": {"home": disk.path / "home"}, "store": {"path": tmp_path / "store"}}
    with project_in(folder, **values) as workspace:
        corpus = folder / "data" / "corpus.jsonl"
        good = corpus.read_text("utf-8")
        corpus.write_text(good + "x" * 10_000 + "\n", "utf-8")
        workspace.at = lambda number: disk.fill() if number == 1 else None
        with pytest.raises(DiskFull) as full:
            build(workspace, "v1")
        check_message(full.value)
    disk.empty()
    corpus.write_text(good, "utf-8")
    finish(folder, at_least=256)


_LIMITED = """
import resource, sys
from pathlib import Path
from reindex.build.spill import SortedRuns
from reindex.build.spill import SortedRuns
from reindex.config import load_settings
from reindex.errors import DiskFull
from reindex.stages.building import build
from tests.hash_project import HashWorkspace

SortedRuns.__init__.__kwdefaults__["tail"] = 500
with HashWorkspace(load_settings(Path(sys.argv[1]))) as workspace:
    workspace.registry, workspace.store.info("docs--v1")
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, resource.RLIM_INFINITY))
    try:
        build(workspace, "v1")
    except DiskFull as full:
        print(full)
"""


def test_a_limit_on_file_sizes(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    with project_in(folder) as workspace:
        from reindex.pacing import Budget

        build(workspace, "v1", budget=Budget(texts=300))
    arguments = [sys.executable, "-c", _LIMITED, str(folder)]
    child = subprocess.run(
        arguments, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    assert "no room" in child.stdout
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    finish(folder, at_least=300)
