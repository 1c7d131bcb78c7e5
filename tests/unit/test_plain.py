"""What goes through JSON comes back as it was."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reindex.build import BuildReport
from reindex.errors import MissingExtra, PromotionRefused, RunStopped
from reindex.plain import error_from_plain, error_to_plain, from_plain, to_plain


@dataclass(frozen=True)
class Inner:
    name: str
    weight: float


@dataclass(frozen=True)
class Outer:
    one: Inner | None
    many: tuple[Inner, ...]
    pair: tuple[int, Inner]
    listed: list[Inner]
    tags: frozenset[str]
    by_name: dict[str, Inner]
    folder: Path
    anything: Any
    id: int | str = 0
    error: PromotionRefused | None = None


def through_json(kind: Any, value: Any) -> Any:
    return from_plain(kind, json.loads(json.dumps(to_plain(value))))


def test_nested_dataclasses_come_back_equal() -> None:
    a, b = Inner("a", 1.5), Inner("b", float("inf"))
    value = Outer(
        a, (a, b), (3, b), [b], frozenset({"x", "y"}), {"k": a}, Path("/x"), {"n": [1]}, "id"
    )
    assert through_json(Outer, value) == value
    assert through_json(tuple[Inner, ...], (a, b)) == (a, b)
    assert through_json(tuple[Inner, int], (a, 1)) == (a, 1)
    assert through_json(Inner | None, None) is None
    assert through_json(Inner, Inner("n", np.float32(0.5))) == Inner("n", 0.5)  # type: ignore[arg-type]


def test_lone_surrogates_and_big_integers_survive() -> None:
    for value in ("\udcff", 2**64 - 1, "a\nb", ""):
        assert through_json(Any, value) == value


def test_what_has_no_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        to_plain({"x": [object()]})


def test_an_error_comes_back_with_its_attributes() -> None:
    found = error_from_plain(json.loads(json.dumps(error_to_plain(MissingExtra("faiss", "f")))))
    assert isinstance(found, MissingExtra)
    assert (found.extra, found.package) == ("faiss", "f")
    assert str(found) == str(MissingExtra("faiss", "f"))
    refused = through_json(PromotionRefused, PromotionRefused("no", "inconclusive"))
    assert (type(refused), refused.verdict) == (PromotionRefused, "inconclusive")


def test_an_error_s_attribute_that_is_a_dataclass_keeps_its_type() -> None:
    stopped = RunStopped("enough")
    numbers = dict.fromkeys(BuildReport.__dataclass_fields__, 1)
    stopped.report = BuildReport(**numbers)  # type: ignore[arg-type]
    found = through_json(RunStopped, stopped)
    assert found.report == stopped.report
    assert isinstance(found.report, BuildReport)


def test_an_unknown_error_becomes_its_nearest_known_class() -> None:
    class Special(PromotionRefused):
        pass

    found = error_from_plain(error_to_plain(Special("no")))
    assert type(found) is PromotionRefused
    assert str(found) == "no"
