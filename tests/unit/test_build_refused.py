"""A point that the store cannot take is a dead letter; the others are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from reindex.errors import StoreError, StoreRefused, TooManyBadRows
from reindex.records import PayloadChange, Point
from tests.build_fixtures import DictBench, Letters, ListSource, dict_bench, doc, docs
from tests.dict_store import Proxy


@pytest.fixture
def bench() -> DictBench:
    return dict_bench()


@dataclass
class Choosy:
    """Refuses a call that has a point it does not like, after writing those before it."""

    likes: Callable[[dict[str, Any]], bool]
    calls: list[int] = field(default_factory=list)

    def over(self, bench: DictBench) -> Any:
        proxy = Proxy(bench.store, "", None)
        for name in ("insert", "update", "update_payload"):
            setattr(proxy, name, self._checked(getattr(bench.store, name)))
        return proxy

    def _checked(self, write: Callable[..., None]) -> Callable[..., None]:
        def careful(name: str, items: Sequence[Point | PayloadChange], *seen: Any) -> None:
            self.calls.append(len(items))
            good = 0
            while good < len(items) and self.likes(items[good].payload):
                good += 1
            write(name, items[:good], *seen)
            if good < len(items):
                raise StoreRefused("400: Wrong input: the payload")

        return careful


def likes(payload: dict[str, Any]) -> bool:
    return not payload.get("bad")


def test_one_of_many_costs_one_line(bench: DictBench) -> None:
    rows = [*docs(13), doc("bad", bad=True), *docs(12, start=13)]
    report = bench.run(rows, store=Choosy(likes).over(bench), batch_size=8)
    assert bench.letters.rows == [("bad", "store: 400: Wrong input: the payload")]
    assert bench.contents().keys() == {row.id for row in rows} - {"bad"}
    assert (report.inserted, report.failed, report.dead, report.complete) == (25, 1, 1, False)
    assert report.contended == 0
    again = bench.run(rows, batch_size=8)  # a store that takes it
    assert (again.inserted, again.unchanged, again.complete) == (1, 25, True)


def test_updates_and_changes_of_the_payload_alone(bench: DictBench) -> None:
    before = docs(20)
    bench.run(before)
    rows = list(before)
    rows[3] = doc("doc-3", "another text", bad=True)
    rows[4] = doc("doc-4", "another text")
    rows[5] = doc("doc-5", bad=True)
    rows[6] = doc("doc-6", tenant=1)
    report = bench.run(rows, store=Choosy(likes).over(bench), batch_size=20)
    assert sorted(str(id) for id, _ in bench.letters.rows) == ["doc-3", "doc-5"]
    assert (report.updated, report.payload_only, report.failed, report.deleted) == (1, 1, 2, 0)
    contents = bench.contents()
    assert contents["doc-4"][1]["text"] == "another text"
    assert contents["doc-6"][1]["tenant"] == 1
    for id in ("doc-3", "doc-5"):  # they stay as they were
        assert contents[id][1] == doc(id).payload


def test_bad_points_alone_are_told_from_a_store_that_takes_nothing(bench: DictBench) -> None:
    bad = [doc(f"bad-{number}", bad=True) for number in range(3)]
    report = bench.run(bad, store=Choosy(likes).over(bench))
    assert (report.failed, report.points) == (3, 0)
    broken = Choosy(lambda payload: False)
    with pytest.raises(StoreRefused, match="Wrong input"):
        bench.run(docs(8), store=broken.over(bench))
    assert bench.letters.rows == []


def test_too_many_end_the_run(bench: DictBench) -> None:
    rows = [doc(f"bad-{n}", bad=True) if n % 2 else doc(f"doc-{n}") for n in range(40)]
    bench.letters = Letters(limit=5)
    with pytest.raises(TooManyBadRows):
        bench.run(ListSource(rows), store=Choosy(likes).over(bench), letters=bench.letters)
    assert len(bench.letters.rows) == 6


def test_halves_not_single_points(bench: DictBench) -> None:
    choosy = Choosy(likes)
    bench.run([*docs(63), doc("bad", bad=True)], store=choosy.over(bench), batch_size=64)
    assert len(choosy.calls) == 1 + 2 * 6  # the whole, and both halves of each failing part


def test_any_other_failure_still_ends_the_run(bench: DictBench) -> None:
    proxy: Any = Proxy(bench.store, "", None)

    def fail(*_: Any) -> None:
        raise StoreError("500: internal error")

    proxy.insert = fail
    with pytest.raises(StoreError, match="500"):
        bench.run(docs(4), store=proxy)
    assert bench.letters.rows == []
