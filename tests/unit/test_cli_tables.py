"""What people read fits their screen, and loses nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from reindex.cli.leaks import leaks
from reindex.cli.output import table
from reindex.evaluation.results_leakage import Leak, LeakageReport
from tests.made_comparison import made_comparison


@pytest.mark.parametrize("width", ["80", "100", "200"])
def test_a_wide_table_is_wrapped_and_never_cropped(
    width: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    row = [12, "forced promote", "help-centre-search--v12", "abandoned", "2026-11-01 12:00",
           "operator@machine.example", "gate passed (comparison 17); approved by Ada"]  # fmt: skip
    table(["#", "kind", "to", "state", "when (UTC)", "who", "why"], [row])
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert max(len(line) for line in shown.splitlines()) <= int(width)
    letters = "".join(shown.split())
    for cell in row:
        assert not Counter("".join(str(cell).split())) - Counter(letters), cell
    for word in ("abandoned", "comparison"):
        assert width == "80" or word in shown


def test_many_short_columns_are_wrapped_and_never_cropped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = ["side", "keys", "searches", "successes", "rate", "empty", "errors", "median ms",
             "p95 ms", "overlap"]  # fmt: skip
    table(names, [["candidate (v2)", 1234, 1234, 1234, "0.587", 0, 0, "5.4", "39.1", "0.871"]])
    letters = "".join(capsys.readouterr().out.split())
    for cell in ("candidate", "(v2)", "0.871", "1,234", "39.1"):
        assert not Counter(cell) - Counter(letters), cell
    for name in names:
        assert not Counter("".join(name.split())) - Counter(letters), name


def test_leaked_queries_are_named_and_blindness_is_told() -> None:
    exact = tuple(Leak(f"q{i}", f"question {i}", 1.0, "v2") for i in range(7))
    near = (Leak("q9", "a question, nearly", 0.93, "v1"),)
    one = made_comparison([1.0], [1.0], leakage=LeakageReport(50, ("v2", "v1"), exact, near, ()))
    first, second = leaks(one)
    assert first.startswith("7 judged queries are in the training data of v2: q0 'question 0'")
    assert "and 2 more (--json)" in first
    assert "q9 'a question, nearly' (93% alike)" in second
    blind = made_comparison([1.0], [1.0], leakage=LeakageReport(50, ("v1",), (), None, None))
    (told,) = leaks(blind)
    assert "kept no sketches" in told
    assert list(leaks(made_comparison([1.0], [1.0], leakage=LeakageReport(50, ())))) == []
