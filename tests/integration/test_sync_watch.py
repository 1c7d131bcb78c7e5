"""`sync` as a process: watching files and databases, and killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reindex.config import load_settings
from reindex.stages.building import build
from reindex.stages.promoting import promote
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.sql_fixtures import SOURCE, put, remove

ROOT = Path(__file__).parents[2]


def make_live(folder: Path, **values: Any) -> None:
    with hash_project(folder, versions=1, **values) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.hash_cli", "-c", str(folder), *arguments]


def texts(folder: Path) -> dict[Any, str]:
    """document id -> text field, of what is live."""
    with HashWorkspace(load_settings(folder)) as workspace:
        pages = workspace.store.scroll("docs--v1", with_payload=True)
        found = [point for page in pages for point in page]
        return {point.stamp.id: _text(point.payload) for point in found if point.stamp}


def _text(payload: dict[str, Any]) -> str:
    return str(payload.get("text") or payload.get("body"))


class Watch:
    """A watching process; every round is a line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def round(self) -> dict[str, Any]:
        """Wait for the next round."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the watch has ended"
        found: dict[str, Any] = json.loads(line)
        return found

    def counts(self) -> dict[str, Any]:
        """Wait for the next round: what it did to the one collection."""
        found = self.round()
        assert found["errors"] == []
        (collection,) = found["collections"]
        report: dict[str, Any] = collection["report"]
        return report

    def ends(self, number: signal.Signals) -> str:
        """Send a signal; stderr, once the process has ended in peace."""
        self.process.send_signal(number)
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        assert self.process.wait() == 0
        return said


@contextmanager
def watching(folder: Path, *arguments: str) -> Iterator[Watch]:
    process = subprocess.Popen(
        command(folder, "sync", "--json", *arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Watch(process)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_changes_of_files_are_followed_until_a_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    write_documents(tmp_path, ["one", "two", "three"])
    make_live(tmp_path)
    write_documents(tmp_path, ["one", "two", "three", "four"])
    with watching(tmp_path, "--watch") as watch:
        assert watch.counts()["inserted"] == 1  # what changed before the watch began
        write_documents(tmp_path, ["1", "2"], name="queries.jsonl")  # of no concern
        write_documents(tmp_path, ["one", "zwei", "three", "four", "five"])
        found = watch.counts()
        assert (found["inserted"], found["updated"], found["embedded"]) == (1, 1, 2)
        write_documents(tmp_path, ["one", "zwei", "three", "four"], name="new")
        os.replace(tmp_path / "data/new", tmp_path / "data/corpus.jsonl")  # as editors do
        assert watch.counts()["deleted"] == 1
        assert "Stopped." in watch.ends(number)
    assert texts(tmp_path) == {"d0": "one", "d1": "zwei", "d2": "three", "d3": "four"}


def test_files_that_come_and_go_under_a_glob_are_followed(tmp_path: Path) -> None:
    write_documents(tmp_path, [f"text {n}" for n in range(20)], name="a.jsonl")
    source = {"kind": "jsonl", "path": "data/**/*.jsonl"}
    make_live(tmp_path, source=source, build={"allow_deletes": 0.6})
    with watching(tmp_path, "--watch") as watch:
        assert watch.counts()["unchanged"] == 20
        (tmp_path / "data/deep").mkdir()
        row = json.dumps({"_id": "b", "text": "more"})
        (tmp_path / "data/deep/b.jsonl").write_text(row, "utf-8")
        assert watch.counts()["inserted"] == 1
        (tmp_path / "data/deep/b.jsonl").unlink()
        assert watch.counts()["deleted"] == 1


def test_a_watch_survives_what_goes_wrong(tmp_path: Path) -> None:
    write_documents(tmp_path, ["one", "two", "three"])
    make_live(tmp_path)
    corpus = tmp_path / "data/corpus.jsonl"
    with watching(tmp_path, "--watch") as watch:
        assert watch.counts()["unchanged"] == 3
        corpus.rename(tmp_path / "data/away")
        failed = watch.round()
        assert "there is no file" in failed["errors"][0]
        assert failed["retry_in"] > 0
        (tmp_path / "data/away").rename(corpus)
        while (found := watch.round())["errors"]:  # it may have tried again in between
            pass
        assert found["collections"][0]["report"]["unchanged"] == 3
        write_documents(tmp_path, ["one"])  # two of three gone: refused, and no use to insist
        refused = watch.round()
        assert "--allow-deletes" in refused["errors"][0]
        assert refused["retry_in"] is None
        write_documents(tmp_path, ["one", "two", "three", "four"])
        assert watch.counts()["inserted"] == 1


def test_a_folder_that_is_replaced_is_watched_anew(tmp_path: Path) -> None:
    write_documents(tmp_path, ["one", "two"])
    make_live(tmp_path)
    with watching(tmp_path, "--watch") as watch:
        assert watch.counts()["unchanged"] == 2
        (tmp_path / "data").rename(tmp_path / "old")
        write_documents(tmp_path, ["one", "two", "three"])
        while not (found := watch.round())["collections"] or found["errors"]:
            pass
        while not found["collections"][0]["report"]["inserted"]:
            found = watch.round()
        write_documents(tmp_path, ["one", "two", "three", "four"])
        while not (found := watch.round())["collections"][0]["report"]["inserted"]:
            pass
    assert len(texts(tmp_path)) == 4


def test_a_database_is_asked_every_so_often(tmp_path: Path) -> None:
    put(tmp_path, ((n, f"text {n}") for n in range(20)))
    make_live(tmp_path, source=SOURCE)
    with watching(tmp_path, "--interval", "1") as watch:
        assert watch.counts()["unchanged"] == 20
        put(tmp_path, [(20, "new")])
        remove(tmp_path, 3)
        while not (found := watch.counts())["inserted"]:
            pass
        assert (found["inserted"], found["deleted"]) == (1, 1)


def test_a_sync_that_is_killed_is_simply_run_again(tmp_path: Path) -> None:
    rows = {n: f"text {n}" for n in range(2_000)}
    put(tmp_path, rows.items())
    make_live(tmp_path, source=SOURCE, embed={"batch_size": 50}, build={"flush_every": 100})
    changed = {n: f"edited {n}" for n in range(0, 2_000, 2)}
    changed |= dict.fromkeys(range(3_000, 3_100), "new")
    put(tmp_path, changed.items())
    remove(tmp_path, *range(1, 100, 2))
    expected = {n: text for n, text in (rows | changed).items() if n not in range(1, 100, 2)}
    for after in ("200", "300", ""):
        done = subprocess.run(
            command(tmp_path, "sync", "--json"),
            cwd=ROOT,
            env={**os.environ, "REINDEX_TEST_KILL_AFTER": after},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == (-signal.SIGKILL if after else 0), done.stderr
    (found,) = json.loads(done.stdout)
    embedded = found["report"]["embedded"]
    assert 0 < embedded < 1_100  # the killed runs' work was kept
    assert found["report"]["deleted"] == 50
    assert texts(tmp_path) == expected
