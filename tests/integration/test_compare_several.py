"""`reindex compare v2 v3`: one pass over live, one table, each recorded for itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import reindex.project
from reindex.cli import main
from reindex.config import EvaluationSettings, GateSettings
from reindex.errors import ComparisonError
from reindex.evaluation.compare import Comparison, compare
from reindex.evaluation.retrieval import Runs
from reindex.evaluation.verdicts import verdict_of
from reindex.gate import decide
from tests.comparison_fixtures import WordEncoder, make_world
from tests.hash_project import HashWorkspace, hash_project, write_documents

TEXTS = [f"document number {number} of a made-up corpus" for number in range(80)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """v1 is live; v2 and v3 are built."""
    folder = tmp_path_factory.mktemp("project")
    write_documents(folder, TEXTS)
    rows = [json.dumps({"_id": f"q{i}", "text": TEXTS[i]}) for i in range(40)]
    (folder / "data" / "queries.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    (folder / "data" / "qrels").mkdir()
    lines = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in range(40))]
    (folder / "data" / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    with hash_project(folder, versions=3, evaluation={"resamples": 200}) as made:
        for version in ("v1", "v2", "v3"):
            made.build(version)
        made.promote("v1", force=True, reason="first")
    return folder


@pytest.fixture
def project(built: Path) -> Iterator[HashWorkspace]:
    with HashWorkspace.open(built) as made:
        yield made


def command(built: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setattr(reindex.project, "open_project", HashWorkspace.open)
    return CliRunner().invoke(main, ["--config", str(built), *arguments])


def test_live_is_searched_once_and_the_figures_are_those_of_one_at_a_time(tmp_path: Path) -> None:
    world = make_world(tmp_path, documents=100, queries=40)
    sides = [world.build(f"v{n}", WordEncoder(known)) for n, known in ((1, 0.0), (2, 1.0))]
    alone = world.compare(*sides)
    searched: dict[str, Runs] = {}
    how: dict[str, Any] = {"resamples": 500, "subset_documents": 150}

    def once() -> Comparison:
        return compare(
            world.store, sides[0], sides[1], world.judgements, EvaluationSettings(**how),
            GateSettings(), searched=searched,
        )  # fmt: skip

    first = once()
    assert list(searched) == ["world--v1"]
    kept = searched["world--v1"]
    again = once()
    assert searched["world--v1"] is kept
    assert first.metrics == again.metrics == alone.metrics


def test_each_is_recorded_with_its_place_and_the_gate_reads_it(project: HashWorkspace) -> None:
    found = project.compare_several(["v2", "v3", "v2"])
    assert [stored.candidate for stored, _ in found] == ["v2", "v3"]
    for stored, comparison in found:
        assert comparison.family is not None
        assert comparison.family.candidates == ("v2", "v3")
        read = Comparison.from_dict(stored.result)
        assert read.family == comparison.family
        gate = project.settings.gate
        assert verdict_of(read, gate).verdict == comparison.verdict
        decision = decide(
            project.registry, gate, version=stored.candidate,
            collection=stored.candidate_collection, live=stored.live_collection,
        )  # fmt: skip
        assert decision.comparison == stored.id
    runs = [run for run in project.registry.runs() if run.kind == "compare"]
    assert {run.details["comparison"] for run in runs} >= {stored.id for stored, _ in found}


def test_one_that_cannot_be_compared_leaves_nothing_recorded(project: HashWorkspace) -> None:
    before = len(project.registry.comparisons())
    with pytest.raises(ComparisonError, match="v1 is what is live"):
        project.compare_several(["v2", "v1"])
    assert len(project.registry.comparisons()) == before


def test_the_command_prints_one_table(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = command(built, monkeypatch, "compare", "v2", "v3")
    assert shown.exit_code == 4, shown.output
    text = " ".join(shown.output.split())
    for part in ("2 candidates against live v1", "Holm's p", "INCONCLUSIVE v2:", "judged set was"):
        assert part in text
    assert max(len(line.rstrip()) for line in shown.output.splitlines()) <= 80


def test_as_json_it_is_one_document(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = command(built, monkeypatch, "compare", "v2", "v3", "--json")
    document = json.loads(shown.stdout)
    assert [one["candidate"]["version"] for one in document["comparisons"]] == ["v2", "v3"]
    assert document["comparisons"][0]["family"]["candidates"] == ["v2", "v3"]
    assert document["judged_set_uses"] >= 2
