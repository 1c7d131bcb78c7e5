"""The embedded store among processes: reopened, held by another, killed at any point."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reindex.errors import CollectionExists, CollectionNotFound, StoreBusy, StoreError, StoreRefused
from reindex.records import SearchPlan
from reindex.stores.edge import EdgeStore
from tests.store_fixtures import (
    FileCatalog,
    points,
    seen_of,
    spec,
    stamp,
    unit_vectors,
)

ROOT = Path(__file__).parents[2]
_PRELUDE = """
import os, signal, sys
from pathlib import Path
from reindex.stores.edge import EdgeStore
from tests.store_fixtures import FileCatalog, points, spec, unit_vectors

folder = Path(sys.argv[1])
"""
_HOLD = """
store = EdgeStore(folder / "store", FileCatalog(folder / "catalog.json"))
store.count("c")
print("holding", flush=True)
sys.stdin.read()
"""
_COUNT = """
try:
    EdgeStore(folder / "store", FileCatalog(folder / "catalog.json")).count("c")
except Exception as error:
    print(type(error).__name__, flush=True)
"""
_WRITE = """
store = EdgeStore(folder / "store", FileCatalog(folder / "catalog.json"))
vectors = unit_vectors(20_000)
for start in range(0, 20_000, 100):
    ids = range(start, start + 100)
    store.insert("c", points(ids, vectors[start : start + 100]))
    store.flush("c")
    print(start + 100, flush=True)
"""
_DIE_AT = """
class Deadly(FileCatalog):
    def __getattribute__(self, name):
        if name == sys.argv[2]:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getattribute__(name)

getattr(EdgeStore(folder / "store", Deadly(folder / "catalog.json")), sys.argv[3])(
    spec("c", version="dead") if sys.argv[3] == "create" else "c"
)
"""
_CREATE_FOREVER = """
store = EdgeStore(folder / "store", FileCatalog(folder / "catalog.json"))
while True:
    if "c" in store.collections():
        store.drop("c")
    store.create(spec("c", version="dead"))
    store.insert("c", points([1]))
    print("made", flush=True)
"""


def start(code: str, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _PRELUDE + code, *map(str, args)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)


def read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def reopened(folder: Path) -> EdgeStore:
    return EdgeStore(folder / "store", FileCatalog(folder / "catalog.json"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EdgeStore]:
    store = reopened(tmp_path)
    yield store
    store.close()


def test_everything_is_there_after_reopening(store: EdgeStore, tmp_path: Path) -> None:
    vectors = unit_vectors(50)
    store.create(spec("c", version="v1"))
    store.point_alias("live", "c")
    store.insert("c", points(range(50), vectors))
    store.close()
    again = reopened(tmp_path)
    assert again.info("c").points == 50
    assert again.info("c").metadata == {"version": "v1"}
    assert again.aliases() == {"live": "c"}
    [hit] = again.search("c", vectors[7], SearchPlan(k=1, two_stage=True))
    assert hit.id == "doc-7"
    again.close()


def test_a_closed_store_opens_again_when_it_is_used(store: EdgeStore) -> None:
    store.create(spec("c"))
    store.insert("c", points([1]))
    store.close()
    assert store.count("c") == 1


class TestBusy:
    def test_it_names_the_collection_and_the_process(
        self, store: EdgeStore, tmp_path: Path
    ) -> None:
        store.create(spec("c"))
        holder = start(_HOLD, tmp_path)
        assert read(holder) == "holding"
        other = reopened(tmp_path)
        with pytest.raises(StoreBusy, match=f"'c' is held by process {holder.pid}.*running"):
            other.count("c")
        with pytest.raises(StoreBusy, match="'c'"):
            other.drop("c")
        stop(holder)
        assert other.count("c") == 0  # the lock went with the process
        other.drop("c")

    def test_an_owner_that_ended_is_not_blamed(self, store: EdgeStore, tmp_path: Path) -> None:
        store.create(spec("c"))
        holder = start(_HOLD, tmp_path)
        assert read(holder) == "holding"
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        catalog = FileCatalog(tmp_path / "catalog.json")
        catalog.record_owner("c", ended.pid)
        with pytest.raises(StoreBusy, match=f"not recorded.*{ended.pid}, has ended"):
            EdgeStore(tmp_path / "store", catalog).count("c")
        stop(holder)

    def test_two_stores_in_one_process(self, store: EdgeStore, tmp_path: Path) -> None:
        store.create(spec("c"))
        store.count("c")
        with pytest.raises(StoreBusy, match=f"this very process \\({os.getpid()}\\)"):
            reopened(tmp_path).count("c")

    def test_whoever_is_refused_does_the_holder_no_harm(
        self, store: EdgeStore, tmp_path: Path
    ) -> None:
        store.create(spec("c"))
        for number in range(1, 5):
            store.insert("c", points([number]))
            store.flush("c")
            with pytest.raises(StoreBusy):
                reopened(tmp_path).count("c")
            other = start(_COUNT, tmp_path)
            assert read(other) == "StoreBusy"
            stop(other)
        store.close()
        assert reopened(tmp_path).count("c") == 4


class TestKilled:
    @pytest.mark.parametrize(
        "step", ["aliases", "forget_collection", "merge_collection_metadata", "_changed"]
    )
    def test_in_create(self, tmp_path: Path, step: str) -> None:
        killed = start(_DIE_AT, tmp_path, step, "create")
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL
        store = reopened(tmp_path)
        assert store.collections() == []
        with pytest.raises(CollectionNotFound):
            store.info("c")
        store.create(spec("c", build="b1"))
        assert store.info("c").metadata == {"build": "b1"}
        store.insert("c", points([1]))
        assert sorted(p.name for p in (tmp_path / "store").iterdir()) == [".lock", "c"]
        store.close()

    @pytest.mark.parametrize("step", ["forget_collection", "_changed"])
    def test_in_drop(self, store: EdgeStore, tmp_path: Path, step: str) -> None:
        store.create(spec("c", version="v1"))
        store.insert("c", points([1]))
        store.close()
        killed = start(_DIE_AT, tmp_path, step, "drop")
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL
        again = reopened(tmp_path)
        assert again.collections() == []
        again.create(spec("c", build="b1"))
        assert (again.count("c"), again.info("c").metadata) == (0, {"build": "b1"})
        again.close()

    def test_at_random_in_create_and_drop(self, tmp_path: Path) -> None:
        rng = random.Random(13)
        for _ in range(5):
            killed = start(_CREATE_FOREVER, tmp_path)
            assert read(killed) == "made"
            deadline = time.monotonic() + rng.uniform(0, 0.1)
            while time.monotonic() < deadline:
                pass
            stop(killed)
            store = reopened(tmp_path)
            for name in store.collections():  # whole, or not there
                assert store.info(name).metadata == {"version": "dead"}
                assert store.count(name) <= 1
            store.close()

    def test_while_writing(self, store: EdgeStore, tmp_path: Path) -> None:
        store.create(spec("c"))
        store.close()
        writer = start(_WRITE, tmp_path)
        flushed = 0
        while flushed < 1500:
            flushed = int(read(writer))
        stop(writer)
        again = reopened(tmp_path)
        ids = [p.id for page in again.scroll("c") for p in page]
        assert ids == list(range(len(ids)))
        assert len(ids) >= flushed
        assert again.missing_vectors("c") == set()
        again.insert("c", points(range(3000)))
        assert again.count("c") == max(3000, len(ids))
        again.close()


class TestRegistryAndFoldersDisagree:
    def test_a_folder_without_metadata(self, store: EdgeStore, tmp_path: Path) -> None:
        store.create(spec("c"))
        store.close()
        FileCatalog(tmp_path / "catalog.json").forget_collection("c")
        lost = reopened(tmp_path)
        assert lost.collections() == ["c"]
        with pytest.raises(StoreError, match="no entry in the registry"):
            lost.info("c")
        with pytest.raises(CollectionExists, match="no entry in the registry"):
            lost.create(spec("c"))
        lost.drop("c")
        lost.create(spec("c"))

    def test_metadata_without_a_folder(self, store: EdgeStore, tmp_path: Path) -> None:
        store.create(spec("c"))
        shutil.rmtree(tmp_path / "store" / "c")
        with pytest.raises(CollectionNotFound, match=r"in the registry, but its folder .* is gone"):
            store.info("c")
        assert store.collections() == []
        store.create(spec("c", version="v2"))
        assert store.info("c").metadata == {"version": "v2"}

    def test_damaged_files_are_told_and_can_be_dropped(
        self, store: EdgeStore, tmp_path: Path
    ) -> None:
        store.create(spec("c"))
        shutil.rmtree(tmp_path / "store" / "c" / "shard")
        with pytest.raises(StoreError, match=r"'c' cannot be opened.*drop the collection"):
            store.count("c")
        store.drop("c")
        assert store.collections() == []


@pytest.mark.parametrize("name", ["../c", ".hidden", "a/b", "", "ü"])
def test_a_name_that_cannot_be_a_folder(store: EdgeStore, name: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="names a folder"):
        store.create(spec(name))
    with pytest.raises(CollectionNotFound):
        store.drop(name)


def test_engine_errors_name_the_collection(store: EdgeStore) -> None:
    store.create(spec("c"))
    with pytest.raises(StoreError, match=r"collection 'c'.*UUID"):
        store.retrieve("c", ["no uuid"])
    [nan] = points([1])
    nan.payload["x"] = float("nan")
    with pytest.raises(StoreRefused, match=r"collection 'c'.*NaN"):
        store.insert("c", [nan])


def test_a_drop_ends_running_searches_and_scrolls(store: EdgeStore) -> None:
    store.create(spec("c"))
    store.insert("c", points(range(100)))
    query, ends = unit_vectors(1)[0], list[Exception]()

    def search() -> None:
        try:
            while True:
                assert len(store.search("c", query, SearchPlan())) == 10
        except Exception as error:
            ends.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    pages = store.scroll("c", page=10)
    next(pages)
    store.drop("c")
    with pytest.raises(CollectionNotFound, match="'c'"):
        next(pages)
    for thread in threads:
        thread.join()
    assert [type(end) for end in ends] == [CollectionNotFound] * 3


def test_optimizing_keeps_every_point(store: EdgeStore) -> None:
    count, vectors = 2000, unit_vectors(2000)
    store.create(spec("c"))
    store.insert("c", points(range(count), vectors))
    store.update("c", points(range(100), vectors[:100], rev=2), seen_of(range(100)))
    assert not store.optimize("c", at_least=100_000)  # too small to be worth it
    assert store.optimize("c", at_least=1000)
    assert [p.id for page in store.scroll("c") for p in page] == list(range(count))
    store.insert("c", points([count], unit_vectors(1, seed=5)))
    for i in (0, 500, 1999):
        [hit] = store.search("c", vectors[i], SearchPlan(k=1, two_stage=True))
        assert hit.point_id == i
    assert store.retrieve("c", [0])[0].stamp == stamp("doc-0", rev=2)


def test_no_search_while_it_is_optimized(store: EdgeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.create(spec("c"))
    seen: list[str] = []

    def during(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        with pytest.raises(StoreBusy, match="being optimized"):
            store.count("c")
        seen.append("refused")
        return subprocess.CompletedProcess([], 1, "", "out of disk")

    monkeypatch.setattr(subprocess, "run", during)
    with pytest.raises(StoreError, match="out of disk"):
        store.optimize("c", at_least=0)
    assert (seen, store.count("c")) == (["refused"], 0)
