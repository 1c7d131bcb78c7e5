"""Kept vectors: bit for bit what was embedded, or nothing; and never an error for the run."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from reindex import vector_cache
from reindex.records import Vector, text_hash
from reindex.vector_cache import VectorCache, cache_file, cache_files, cache_size
from tests.hash_encoder import HashEncoder

DIM = 48
ENCODER = HashEncoder(DIM)
PLENTY = 10**9


def embedded(*names: str) -> dict[str, Vector]:
    vectors = ENCODER.encode_documents(names)
    return {text_hash(name): vector for name, vector in zip(names, vectors, strict=True)}


def cache_in(folder: Path, *, limit: int = PLENTY, encoding: str = "one") -> VectorCache:
    return VectorCache(cache_file(folder, "space", encoding, DIM), DIM, limit)


def assert_knows(cache: VectorCache, vectors: dict[str, Vector]) -> None:
    found = cache.recall(list(vectors))
    assert found.keys() == vectors.keys()
    assert all(np.array_equal(found[key], vectors[key]) for key in vectors)


def test_what_was_remembered_comes_back_bit_for_bit(tmp_path: Path) -> None:
    vectors = embedded(*(f"text {i}" for i in range(1200)))
    cache = cache_in(tmp_path)
    cache.remember(vectors)
    assert_knows(cache, vectors)
    cache.close()
    assert_knows(cache_in(tmp_path), vectors)
    assert cache.recall([text_hash("never seen")]) == {}
    assert cache.recall([]) == {}


def test_other_encodings_spaces_and_dimensions_are_apart(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    cache.remember(embedded("a"))
    assert cache_in(tmp_path, encoding="two").recall([text_hash("a")]) == {}
    files = {
        cache_file(tmp_path, "space", "one", DIM),
        cache_file(tmp_path, "other", "one", DIM),  # other prompts, say
        cache_file(tmp_path, "space", "one", 2 * DIM),
    }
    assert len(files) == 3


def test_a_damaged_row_counts_as_missing_and_is_replaced(tmp_path: Path) -> None:
    vectors = embedded("a", "b", "c")
    cache = cache_in(tmp_path)
    cache.remember(vectors)
    (file,) = cache_files(tmp_path)
    with sqlite3.connect(file) as database:
        bent = np.zeros(DIM, np.float32).tobytes()
        database.execute(
            "UPDATE vectors SET vector = ? WHERE text = ?", (bent, bytes.fromhex(text_hash("b")))
        )
    assert cache.recall(list(vectors)).keys() == vectors.keys() - {text_hash("b")}
    cache.remember(embedded("b"))
    assert_knows(cache, vectors)


@pytest.mark.parametrize("damage", ["garbage", "middle", "cut"])
def test_a_damaged_file_is_begun_anew(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    vectors = embedded(*(f"text {i}" for i in range(2000)))
    cache = cache_in(tmp_path)
    cache.remember(vectors)
    cache.close()
    (file,) = cache_files(tmp_path)
    content = bytearray(file.read_bytes())
    if damage == "garbage":
        content = bytearray(b"no database at all" * 1000)
    elif damage == "middle":
        content[16384 : 16384 * 12] = os.urandom(16384 * 11)
    else:
        del content[len(content) // 3 :]
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        found = cache.recall(list(vectors))
        cache.remember(vectors)
        cache.remember(vectors)
    assert all(np.array_equal(found[key], vectors[key]) for key in found)
    assert_knows(cache_in(tmp_path), vectors)
    assert "begun anew" in caplog.text


def test_the_limit_holds_and_the_oldest_go_first(tmp_path: Path) -> None:
    limit = 400_000
    cache = cache_in(tmp_path, limit=limit)
    for start in range(0, 10_000, 100):
        cache.remember(embedded(*(f"text {i}" for i in range(start, start + 100))))
    assert_knows(cache, embedded("text 9999", "text 9500"))
    assert cache.recall([text_hash("text 0"), text_hash("text 100")]) == {}
    cache.close()
    (file,) = cache_files(tmp_path)
    assert limit / 2 < cache_size(file) < 1.2 * limit


def test_other_encodings_go_before_the_one_in_use(tmp_path: Path) -> None:
    for name, age in (("old", 200), ("older", 300)):
        other = cache_in(tmp_path, encoding=name)
        other.remember(embedded(*(f"text {i}" for i in range(1000))))
        other.close()
        file = cache_file(tmp_path, "space", name, DIM)
        os.utime(file, (file.stat().st_mtime - age,) * 2)
    room = sum(map(cache_size, cache_files(tmp_path)))
    cache = cache_in(tmp_path, limit=room)
    cache.remember(embedded("a"))
    assert cache_files(tmp_path)[0] == cache_file(tmp_path, "space", "old", DIM)
    assert not cache_file(tmp_path, "space", "older", DIM).exists()
    assert_knows(cache, embedded("a"))


def test_a_limit_that_was_lowered_a_lot_begins_anew(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    cache.remember(embedded(*(f"text {i}" for i in range(5000))))
    cache.close()
    small = cache_in(tmp_path, limit=200_000)
    small.remember(embedded("a"))
    assert_knows(small, embedded("a"))
    small.close()
    assert sum(map(cache_size, cache_files(tmp_path))) < 200_000


def test_a_full_disk_keeps_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = cache_in(tmp_path)
    cache.remember(embedded("a"))
    monkeypatch.setattr(vector_cache, "MIN_FREE", 2**80)
    cache.remember(embedded("b"))
    assert cache.recall([text_hash("b")]) == {}
    assert_knows(cache, embedded("a"))


def test_a_folder_that_cannot_be_used_costs_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "vectors").write_text("in the way")
    cache = cache_in(tmp_path / "vectors")
    with caplog.at_level(logging.WARNING):
        cache.remember(embedded("a"))
        cache.remember(embedded("b"))
        assert cache.recall([text_hash("a")]) == {}
    assert caplog.text.count("is not used in this run") == 1


def _write_share(folder: Path, worker: int, ready: object = None) -> None:
    cache = cache_in(folder)
    for start in range(0, 300, 30):
        cache.remember(embedded(*(f"{worker}-{i}" for i in range(start, start + 30))))


def _write_for_ever(folder: Path, ready: multiprocessing.synchronize.Event) -> None:
    cache = cache_in(folder)
    for number in range(10**9):
        cache.remember(embedded(*(f"{number}-{i}" for i in range(50))))
        if number == 20:
            ready.set()


def test_processes_share_a_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_share, args=(tmp_path, n)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    cache = cache_in(tmp_path)
    for number in range(3):
        assert_knows(cache, embedded(*(f"{number}-{i}" for i in range(300))))


def test_a_kill_loses_no_finished_batch(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    writer = context.Process(target=_write_for_ever, args=(tmp_path, ready))
    writer.start()
    assert ready.wait(60)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    cache = cache_in(tmp_path)
    for number in range(20):
        assert_knows(cache, embedded(*(f"{number}-{i}" for i in range(50))))
    cache.remember(embedded("after"))
    assert_knows(cache, embedded("after"))
