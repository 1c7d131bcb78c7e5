"""The store ``faiss``: the conformance suite, several processes, kills, and the whole loop."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reindex.errors import CollectionNotFound, StoreBusy, StoreError, StoreRefused
from reindex.records import SearchPlan
from reindex.stages.building import build
from reindex.stages.promoting import promote, rollback
from reindex.stages.upkeep import status
from reindex.testing.points import points, seen_of, spec, stamp, unit_vectors
from reindex.testing.stores import StoreSuite, World
from tests.hash_project import hash_project, write_documents
from tests.loop_fixtures import LEARNABLE, run, run_json, write_beir
from tests.training_fixtures import tiny_base  # noqa: F401

pytest.importorskip("faiss", reason="the [faiss] extra")

from reindex.stores import faiss_collection, faiss_tables
from reindex.stores.faiss import FaissStore

ROOT = Path(__file__).parents[2]
_PRELUDE = """
import os, signal, sys
from pathlib import Path
from reindex.stores.faiss import FaissStore
from reindex.stages.building import build
from reindex.stages.promoting import promote, rollback
from reindex.stages.upkeep import status
from reindex.testing.points import points, spec, unit_vectors
store = FaissStore(Path(sys.argv[1]))
"""
_WRITE = """
vectors = unit_vectors(20_000)
for start in range(0, 20_000, 100):
    ids = range(start, start + 100)
    store.insert("c", points(ids, vectors[start : start + 100]))
    store.flush("c")
    print(start + 100, flush=True)
"""
_DIE_AT = """
from reindex.stores.faiss_tables import CatalogFile
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(CatalogFile, sys.argv[2], die)
getattr(store, sys.argv[3])(spec("c", version="dead") if sys.argv[3] == "create" else "c")
"""
_HALF = """
first, second = points([1, 2], rev=9)
import reindex.stores.faiss_collection as module
stored = module._stored
def deadly(name, item):
    if item.id == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return stored(name, item)
module._stored = deadly
from reindex.testing.points import seen_of
store.update("c", [first, second], seen_of([1, 2]))
"""


def start(code: str, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _PRELUDE + code, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


class TestFaiss(StoreSuite):
    def open_world(self, folder: Path) -> Iterator[World]:
        store = FaissStore(folder / "store")
        yield World(store, reopen=lambda: FaissStore(folder / "store"))
        store.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FaissStore]:
    store = FaissStore(tmp_path)
    yield store
    store.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[FaissStore]:
    """The same store as another process has it open."""
    store = FaissStore(tmp_path)
    yield store
    store.close()


class TestProcesses:
    def test_each_sees_the_others_writes(self, store: FaissStore, other: FaissStore) -> None:
        vectors, plans = unit_vectors(4), (SearchPlan(k=1), SearchPlan(k=1, two_stage=True))
        store.create(spec("c"))
        store.insert("c", points([0, 1], vectors[:2]))
        for plan in plans:  # both indexes of the other are loaded before anything changes
            assert other.search("c", vectors[1], plan)[0].point_id == 1
        other.insert("c", points([2], vectors[2:3]))
        other.update("c", points([1], vectors[3:], rev=2), seen_of([1]))
        store.delete("c", {0: stamp("doc-0")})
        for one in (store, other):
            for plan in plans:
                assert one.search("c", vectors[2], plan)[0].point_id == 2
                assert one.search("c", vectors[3], plan)[0].point_id == 1
                everything = one.search("c", vectors[0], SearchPlan(k=9, two_stage=plan.two_stage))
                assert {hit.point_id for hit in everything} == {1, 2}

    def test_one_that_slept_too_long_loads_anew(
        self, store: FaissStore, other: FaissStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(faiss_collection, "GONE_KEPT", 3)
        vectors = unit_vectors(30)
        store.create(spec("c"))
        store.insert("c", points(range(10), vectors[:10]))
        assert len(other.search("c", vectors[0], SearchPlan(k=99))) == 10
        for rev in (2, 3):
            ids = range(10)
            new = vectors[10 * (rev - 1) : 10 * rev]
            store.update("c", points(ids, new, rev=rev), seen_of(ids, rev=rev - 1))
            store.flush("c")
        hits = other.search("c", vectors[25], SearchPlan(k=99))
        assert (hits[0].point_id, len(hits)) == (5, 10)

    def test_a_drop_and_a_new_one_of_the_same_name(
        self, store: FaissStore, other: FaissStore, tmp_path: Path
    ) -> None:
        store.create(spec("c"))
        store.insert("c", points([1]))
        assert other.count("c") == 1
        pages = other.scroll("c", page=1)
        next(pages)
        store.drop("c")
        with pytest.raises(CollectionNotFound, match="'c'"):
            next(pages)
        other.create(spec("c", version="v2"))
        assert (store.count("c"), store.info("c").metadata) == (0, {"version": "v2"})
        assert len(list(tmp_path.glob("c-*.sqlite"))) == 1

    def test_two_writers_share_the_ids_among_them(self, store: FaissStore, tmp_path: Path) -> None:
        store.create(spec("c"))
        writers = [start(_WRITE, tmp_path) for _ in range(2)]
        assert [writer.communicate() and writer.returncode for writer in writers] == [0, 0]
        assert store.count("c") == 20_000
        vectors = unit_vectors(20_000)
        for id in (0, 9_999, 19_999):
            assert store.search("c", vectors[id], SearchPlan(k=1))[0].point_id == id

    def test_a_writer_that_waits_in_vain_is_told(
        self, store: FaissStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(faiss_tables, "WAIT", 0.05)
        store.create(spec("c"))
        [file] = tmp_path.glob("c-*.sqlite")
        blocker = sqlite3.connect(file, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match="'c': another process has been writing"):
            store.insert("c", points([1]))
        assert store.count("c") == 0  # readers do not wait
        blocker.close()
        store.insert("c", points([1]))


class TestKilled:
    def test_while_writing(self, store: FaissStore, tmp_path: Path) -> None:
        store.create(spec("c"))
        store.close()
        writer = start(_WRITE, tmp_path)
        written = 0
        while written < 1500:
            written = int(read(writer))
        writer.kill()
        writer.communicate()
        ids = [p.id for page in store.scroll("c", with_vector=True) for p in page]
        assert ids == list(range(len(ids)))
        assert len(ids) >= written
        assert len(store.search("c", unit_vectors(1)[0], SearchPlan(k=99_999))) == len(ids)

    def test_within_a_write_nothing_of_it_is_there(self, store: FaissStore, tmp_path: Path) -> None:
        store.create(spec("c"))
        store.insert("c", points([1, 2]))
        killed = start(_HALF, tmp_path)
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL
        found = store.retrieve("c", [1, 2])
        assert [found[i].stamp for i in (1, 2)] == [stamp("doc-1"), stamp("doc-2")]

    @pytest.mark.parametrize("step", ["_remove_leftovers", "aliases", "entry", "add"])
    def test_in_create(self, store: FaissStore, tmp_path: Path, step: str) -> None:
        killed = start(_DIE_AT, tmp_path, step, "create")
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL
        assert store.collections() == []
        store.create(spec("c", build="b1"))
        assert store.info("c").metadata == {"build": "b1"}

    @pytest.mark.parametrize(("step", "gone"), [("remove", False), ("unlink", True)])
    def test_in_drop(self, store: FaissStore, tmp_path: Path, step: str, gone: bool) -> None:
        store.create(spec("c", version="v1"))
        store.insert("c", points([1]))
        store.close()
        killed = start(_DIE_AT, tmp_path, step, "drop")
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL
        assert store.collections() == ([] if gone else ["c"])
        if not gone:
            assert store.count("c") == 1
            store.drop("c")
        store.create(spec("c", build="b1"))  # and the leftover goes
        assert store.count("c") == 0
        assert len(list(tmp_path.glob("c-*.sqlite"))) == 1


class TestMistakes:
    def test_a_lost_file_is_told(self, store: FaissStore, tmp_path: Path) -> None:
        store.create(spec("c"))
        store.close()
        for file in tmp_path.glob("c-*"):
            file.unlink()
        with pytest.raises(StoreError, match=r"'c'.*is gone"):
            store.count("c")
        store.drop("c")
        store.create(spec("c"))

    def test_a_damaged_file_is_told(self, store: FaissStore, tmp_path: Path) -> None:
        store.create(spec("c"))
        store.close()
        [file] = tmp_path.glob("c-*.sqlite")
        file.write_bytes(b"no database" * 1000)
        with pytest.raises(StoreError, match=r"collection 'c': SQLite says"):
            store.count("c")

    def test_ids_payloads_and_fields_that_cannot_be(self, store: FaissStore) -> None:
        store.create(spec("c"))
        with pytest.raises(StoreRefused, match=r"'no uuid'.*UUID"):
            store.retrieve("c", ["no uuid"])
        [nan] = points([1])
        nan.payload["x"] = float("nan")
        with pytest.raises(StoreRefused, match=r"point 1.*no JSON"):
            store.insert("c", [nan])
        for field in ("a..b", "a[0]", "", ".a"):
            with pytest.raises(StoreError, match="is no JSON path"):
                store.search("c", unit_vectors(1)[0], SearchPlan(where={field: 1}))

    def test_lists_quoted_names_and_objects_in_filters(self, store: FaissStore) -> None:
        store.create(spec("c"))
        written = points([1, 2, 3])
        written[0].payload.update({"tags": ["a", "b"], "a.b": 1})
        written[1].payload.update({"tags": {"x": "a"}, "a": {"b": 1}})
        written[2].payload.update({"tags": "a", "n": 2**40})
        store.insert("c", written)

        def found(**where: object) -> set[object]:
            plan = SearchPlan(where=where)
            return {hit.point_id for hit in store.search("c", unit_vectors(1)[0], plan)}

        assert found(tags="a") == {1, 3}
        assert found(**{"tags[]": "b"}) == {1}
        assert found(**{'"a.b"': 1}) == {1}
        assert found(**{"a.b": 1}) == {2}
        assert found(n={"gt": 2**39}) == {3}
        assert found(n=2**40) == {3}
        assert found(**{"$not": {"tags": "a"}}) == {2}
        assert found(**{"$or": [{"n": n} for n in (*range(4000), 2**40)]}) == {3}


def test_building_flipping_and_searching(tmp_path: Path) -> None:
    texts = [f"the text of document number {number}" for number in range(60)]
    write_documents(tmp_path, texts)
    with hash_project(tmp_path, store={"kind": "faiss"}) as workspace:
        for version in ("v1", "v2"):
            assert build(workspace, version).inserted == 60
        promote(workspace, "v1")
        promote(workspace, "v2", force=True, reason="test")
        assert workspace.retriever().search(texts[7], k=1).hits[0].id == "d7"
        write_documents(tmp_path, [*texts[:-1], "a new one"])
        report = build(workspace, "v2")
        assert (report.updated, report.unchanged) == (1, 59)
        assert rollback(workspace).to_collection == "docs--v1"
        hit = workspace.retriever().search("a new one", k=1).hits[0]
        assert hit.id == "d59"  # rolling back has converged v1 first
        assert status(workspace).differences == ()


@pytest.mark.slow
@pytest.mark.train
def test_the_whole_loop(tmp_path: Path, tiny_base: str) -> None:  # noqa: F811
    write_beir(tmp_path / "data")
    text = LEARNABLE.format(base=tiny_base) + "[store]\nkind = 'faiss'\n"
    (tmp_path / "reindex.toml").write_text(text, "utf-8")
    run(tmp_path, "init", "--adopt")
    for version in ("v1", "v2"):
        if version == "v2":
            run(tmp_path, "train")
        run(tmp_path, "export", version)
        assert run_json(tmp_path, "build", version)["inserted"] == 400
        if version == "v1":
            run(tmp_path, "promote", "v1")
    assert run_json(tmp_path, "build", "v2")["embedded"] == 0
    assert run_json(tmp_path, "compare", "v2")["verdict"] == "pass"
    assert run_json(tmp_path, "promote", "v2")["flip"]["to_collection"] == "docs--v2"
    found = run_json(tmp_path, "search", "apple engine", "-k", "3")
    assert (found["version"], len(found["hits"])) == ("v2", 3)
    assert run_json(tmp_path, "rollback")["to_collection"] == "docs--v1"
    assert run_json(tmp_path, "search", "apple engine")["version"] == "v1"
    status = run_json(tmp_path, "status")
    assert (status["live_version"], status["differences"]) == ("v1", [])
    assert len(list((tmp_path / ".reindex/store").glob("docs--v[12]-*.sqlite"))) == 2
