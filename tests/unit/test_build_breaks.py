"""Whatever breaks: the run stops, what was done is kept, nothing is left behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np
import pytest

from reindex.build import BuildReport, converge
from reindex.build.lookup import Reader
from reindex.config import BuildSettings
from reindex.errors import BuildError, Cancelled
from reindex.protocols import DeadLetterSink
from reindex.records import Document
from tests.build_fixtures import (
    BUILD,
    COLLECTION,
    DIM,
    BadRow,
    DictBench,
    Letters,
    ListSource,
    dict_bench,
    doc,
    docs,
)
from tests.dict_store import Proxy
from tests.hash_encoder import HashEncoder


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def bench() -> DictBench:
    return dict_bench()


def test_the_reader_stops_between_two_documents() -> None:
    source = ListSource(docs(100))
    reader = Reader(source.name, Letters(), batch_size=50)
    batches = reader.batches(source.documents(Letters()), lambda: source.given >= 7)
    assert list(batches) == []
    assert source.given == 7


@pytest.mark.parametrize("fail_at", [0, 1, 7, 20, 39, 40])
def test_a_source_that_fails_deletes_nothing_and_keeps_the_rest(
    bench: DictBench, fail_at: int
) -> None:
    bench.run(docs(30))
    source = ListSource(docs(40, 20), fail_at=fail_at)
    with pytest.raises(OSError, match="the disk is gone"):
        bench.run(source)
    assert set(bench.contents()) >= {f"doc-{number}" for number in range(30)}
    assert bench.store.flushed == bench.store.writes
    report = bench.run(docs(40, 20))
    assert set(bench.contents()) == {f"doc-{number}" for number in range(20, 60)}
    assert bench.encoder.texts == 60  # nothing twice
    assert report.unchanged + report.inserted == 40


class FailingEncoder(HashEncoder):
    """Raises ``error`` at its ``n``-th call."""

    def __init__(self, n: int, error: BaseException) -> None:
        super().__init__(DIM)
        self._left, self._error = n, error

    def encode_documents(self, texts: Sequence[str]) -> Any:
        if self._left == 0:
            raise self._error
        self._left -= 1
        return super().encode_documents(texts)


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt()])
def test_an_encoder_that_fails_keeps_what_it_embedded(
    bench: DictBench, error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught:
        bench.run(docs(40), encoder=FailingEncoder(3, error))
    assert caught.value is error
    assert len(bench.contents()) == 12  # three batches of four
    assert bench.store.flushed == bench.store.writes
    assert bench.run(docs(40)).embedded == 28


class Picky(HashEncoder):
    """Cannot embed texts that hold one of ``poison``; gives no numbers for ``nothing``."""

    poison: tuple[str, ...] = ("of doc-13", "of doc-14")
    nothing: tuple[str, ...] = ("of doc-27",)

    def encode_documents(self, texts: Sequence[str]) -> Any:
        if any(text.endswith(self.poison) for text in texts):
            raise MemoryError("one text too long")
        rows = super().encode_documents(texts)
        rows[[text.endswith(self.nothing) for text in texts]] = np.nan
        return rows


def test_a_text_that_cannot_be_embedded_costs_one_line(bench: DictBench) -> None:
    bench.run([doc("doc-13", "as it was"), *docs(5)])
    report = bench.run(docs(40), encoder=Picky(DIM), batch_size=8)
    assert (report.failed, report.dead, report.complete) == (3, 3, False)
    assert report.embedded == 40 - 5 - 3
    assert dict(bench.letters.rows) == {
        "doc-13": "encoder: MemoryError: one text too long",
        "doc-14": "encoder: MemoryError: one text too long",
        "doc-27": "encoder: the vector is zero or not finite",
    }
    stored = bench.contents()
    assert "doc-14" not in stored
    assert stored["doc-13"][1]["text"] == "as it was"  # not deleted: the source has it
    assert len(stored) == 38
    again = bench.run(docs(40))
    assert (again.embedded, again.complete) == (3, True)


def test_an_encoder_that_gives_no_numbers_at_all_is_broken(bench: DictBench) -> None:
    class Broken(Picky):
        nothing = ("",)

    with pytest.raises(BuildError, match="no finite vector for any of 4 texts"):
        bench.run(docs(8), encoder=Broken(DIM))


def test_an_encoder_of_the_wrong_shape_is_told(bench: DictBench) -> None:
    class Short(HashEncoder):
        def encode_documents(self, texts: Sequence[str]) -> Any:
            return super().encode_documents(texts)[:-1]

    with pytest.raises(BuildError, match=r"shape \(3, 16\) for 4 texts"):
        bench.run(docs(8), encoder=Short(DIM))


def test_a_threshold_of_bad_rows_keeps_what_was_done(bench: DictBench) -> None:
    rows: list[Document | BadRow] = [*docs(30), *docs(30, 30)]
    rows[30:30] = [BadRow(f"bad-{number}") for number in range(5)]
    bench.run(docs(10))
    with pytest.raises(Exception, match="more than 3 bad rows"):
        converge(
            ListSource(rows),
            bench.encoder,
            bench.store,
            COLLECTION,
            build=BUILD,
            rev=9,
            dead=Letters(limit=3),
            settings=BuildSettings(),
            batch_size=4,
        )
    assert len(bench.contents()) >= 10


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_the_run_and_keeps_what_is_done(bench: DictBench) -> None:
    class Interrupting(ListSource):
        def documents(self, dead: DeadLetterSink) -> Iterator[Document]:
            for number in count():
                if number == 100:
                    signal.raise_signal(signal.SIGINT)
                yield doc(number)

    with pytest.raises(KeyboardInterrupt):
        bench.run(Interrupting([]))
    assert bench.store.flushed == bench.store.writes
    # the interrupt may fall between the encoder's return and the hand-over of its batch
    assert bench.encoder.texts - 8 < bench.store.writes <= bench.encoder.texts


@pytest.mark.parametrize("n", [1, 3])
def test_a_writer_that_fails_stops_the_run(bench: DictBench, n: int) -> None:
    def fail() -> None:
        raise ConnectionError("the server is gone")

    store = bench.store
    proxy: Any = Proxy(store, "insert", fail, n)
    source = ListSource(docs(10_000))
    with pytest.raises(ConnectionError, match="the server is gone"):
        bench.run(source, store=proxy)
    assert len(bench.contents()) == 4 * (n - 1)
    assert store.flushed == store.writes
    assert source.given < 200  # not read to its end


def test_a_flush_that_fails_after_an_error_does_not_hide_it(bench: DictBench) -> None:
    def fail() -> None:
        raise ConnectionError("first")

    def fail_too() -> None:
        raise OSError("second")

    store = bench.store
    proxy: Any = Proxy(Proxy(store, "flush", fail_too), "insert", fail)  # type: ignore[arg-type]
    with pytest.raises(ConnectionError, match="first") as caught:
        bench.run(docs(8), store=proxy)
    assert caught.value.__notes__ == ["The flush that followed failed too: second"]


def test_the_source_is_not_read_far_ahead_of_the_encoder(bench: DictBench) -> None:
    source = ListSource(docs(2_000))
    ahead: list[int] = []

    class Watching(HashEncoder):
        def encode_documents(self, texts: Sequence[str]) -> Any:
            ahead.append(source.given - self.texts)
            return super().encode_documents(texts)

    bench.run(source, encoder=Watching(DIM), batch_size=10)
    # the two that wait, one in the encoder's hands, one being put, and the one being read
    assert max(ahead) <= 10 * (2 + 3)


def test_writes_are_flushed_every_so_many_points(bench: DictBench) -> None:
    flushed: list[int] = []
    store = bench.store

    class Counting(Proxy):
        def flush(self, name: str) -> None:
            flushed.append(store.writes)

    proxy: Any = Counting(store, "", None)
    bench.run(docs(30), store=proxy, settings=BuildSettings(flush_every=8))
    assert flushed == [8, 16, 24, 30]


def test_sparse_changes_are_gathered_into_full_batches(bench: DictBench) -> None:
    bench.run(docs(400))
    before = bench.encoder.calls
    rows = [doc(f"doc-{n}", f"edited {n}" if n % 4 == 0 else None) for n in range(400)]
    report = bench.run(rows, batch_size=20)
    assert report.updated == 100
    assert bench.encoder.calls - before <= 100 / 20 + 1


def test_no_temporary_files_are_left(bench: DictBench, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    bench.run(docs(50))
    with pytest.raises(OSError, match="the disk is gone"):
        bench.run(ListSource(docs(50), fail_at=20))
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_its_pace_stops_keeps_what_is_done_and_deletes_nothing(
    bench: DictBench,
) -> None:
    bench.run(docs(30))
    asked: list[int] = []

    def pace(texts: int) -> None:
        asked.append(texts)
        if len(asked) > 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled) as stopped:
        bench.run(docs(40, 20), pace=pace)
    report = stopped.value.report
    assert isinstance(report, BuildReport)
    assert (report.complete, report.stopped) == (False, "enough")
    assert report.inserted == sum(asked[:3])
    assert len(bench.contents()) == 30 + report.inserted  # nothing deleted
    assert bench.store.flushed == bench.store.writes
    bench.run(docs(40, 20))
    assert set(bench.contents()) == {f"doc-{number}" for number in range(20, 60)}
    assert bench.encoder.texts == 60  # nothing twice


def test_the_pace_is_asked_once_more_before_deletes(bench: DictBench) -> None:
    bench.run(docs(8))

    def pace(texts: int) -> None:
        if texts == 0 and bench.store.flushed == bench.store.writes == 12:
            raise Cancelled("not the deletes")

    with pytest.raises(Cancelled):
        bench.run(docs(4, 8), pace=pace)
    assert len(bench.contents()) == 12
