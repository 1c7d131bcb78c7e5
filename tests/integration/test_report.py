"""The report: what it says, that it needs the registry alone, and that hostile texts stay texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

import reindex.project
from reindex.cli import main
from reindex.corpus.judgements import read_query_texts
from reindex.errors import ComparisonError, UnknownVersion
from reindex.evaluation.results import BaselineRow
from reindex.report.junit import junit
from reindex.report.page import render
from tests.copying import copy_project
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.help_centre import HelpProject

HOSTILE = (
    "<script>fetch('http://evil.example/')</script>",
    "\"><img src=http://evil.example/x.png onerror=alert(1)>",
    "</style></svg><svg onload=alert(2)> {{ 7 * 7 }} {% include 'report.css' %}",
    "]]> &amp; <!-- \x00\x1b[31m \uffff",
)  # fmt: skip


@pytest.fixture
def made(help_centre: Path) -> Path:
    return help_centre


@pytest.fixture
def project(made: Path) -> Iterator[HelpProject]:
    with HelpProject.open(made) as opened:
        yield opened


def test_it_says_what_the_gate_says(project: HelpProject) -> None:
    found = project.report("v2")
    decision = project.promote("v2", dry_run=True).decision
    assert found.verdict == decision.verdict == "pass"
    assert [item.name for item in found.decision.conditions] == [
        item.name for item in decision.conditions if item.name != "other writers"
    ]
    assert found.sentence.startswith("v2 passes the gate: all ")
    assert "nDCG@10: better: +" in found.sentence


def test_it_opens_no_store(made: Path) -> None:
    with HelpProject.open(made) as opened:
        render(opened.report("v2"))
        assert "store" not in opened.__dict__


def test_the_page_holds_every_part(project: HelpProject) -> None:
    page = render(project.report("v2"))
    for part in (
        "<h2>Gate</h2>", "<h2>Metrics</h2>", "<h2>Biggest wins</h2>", "<h2>Biggest losses</h2>",
        "<h2>Serving plan</h2>", "<h2>Slices</h2>", "<h2>Agreement with live</h2>",
        "<h2>Lineage</h2>", "Difference per query",
        "Recall by dimension", "Recall and latency", "Where the change comes from",
        "Where the scores lie", "help-centre--v2", "learning_rate", "v1: base, from all-words",
    ):  # fmt: skip
        assert part in page, part
    found = project.report("v2")
    assert found.judged is not None
    win = found.judged.comparison.wins[0]
    assert win.text in page
    results = found.judged.comparison.results
    assert results is not None
    query = results.query(win.query)
    assert query is not None
    for document in list(query.live)[:5] + list(query.candidate)[:5]:
        assert results.excerpts[document].title in page
        assert document in page


def test_the_page_tells_of_other_candidates_traffic_and_the_watch(everything: Path) -> None:
    with HelpProject.open(everything) as opened:
        found = opened.report("v2")
        assert "store" not in opened.__dict__
    assert [row.version for row in found.family] == ["v2", "v3"]
    assert found.rollout is not None
    assert found.rollout.canary.mode == "interleave"
    assert found.watch is not None
    assert (found.watch.state, found.watch.progress["rounds"]) == ("watching", 2)
    page = render(found)
    for part in (
        "<h2>Several candidates</h2>", "<h2>A small judged set</h2>", "the folds are parts",
        "<h2>Models that are no version</h2>", "v4", "not comparable with the tables above",
        "<h2>Protected queries</h2>", "<h2>Interleaving</h2>", "seen enough",
        "<h2>After the flip</h2>", "after 2 rounds",
    ):  # fmt: skip
        assert part.lower() in page.lower(), part
    kept = json.loads(json.dumps(found.as_dict()))
    assert kept["family"][1]["version"] == "v3"
    assert kept["rollout"]["canary"]["why"] == "seen enough"
    assert len(kept["judged"]["comparison"]["stability"]["folds"]) == 5


def test_a_report_without_those_says_nothing_of_them(project: HelpProject) -> None:
    page = render(project.report("v2"))
    for part in ("Several candidates", "no version", "Protected", "Canary", "After the flip"):
        assert f"<h2>{part}" not in page


def test_a_bm25_row_is_shown(project: HelpProject) -> None:
    found = project.report("v2")
    assert found.judged is not None
    row = BaselineRow("BM25", {"recall@10": 0.5, "ndcg@10": 0.4})
    comparison = replace(found.judged.comparison, baselines=(row,))
    page = render(replace(found, judged=replace(found.judged, comparison=comparison)))
    assert "BM25" in page
    assert "0.500" in page


def test_the_page_asks_for_nothing(project: HelpProject) -> None:
    page = render(project.report("v2"))
    for banned in ("<script", "http://", "https://", "url(", "@import", '<link rel="style'):
        assert banned not in page, banned


def test_json_has_all_of_it(project: HelpProject) -> None:
    found = json.loads(json.dumps(project.report("v2").as_dict()))
    assert (found["verdict"], found["version"]) == ("pass", "v2")
    assert found["judged"]["comparison"]["metric"] == "ndcg@10"
    assert len(found["judged"]["comparison"]["results"]["queries"]) == 150
    assert {"ndcg@10.change", "overlap@10"} <= {figure["name"] for figure in found["figures"]}
    assert found["lineage"][1]["name"] == "v1"


@pytest.mark.parametrize(
    ("version", "figure", "told"),
    [
        ("v2", "ndgc@10.change", "has no such figure; did you mean ndcg@10.change"),
        ("v2", "ndcg.chnage", "did you mean ndcg@10.change"),
        ("v1", "ndcg@10.change", "v1 was not compared with what is live yet"),
    ],
)
def test_a_mistyped_figure_is_wrong_usage(
    made: Path, monkeypatch: pytest.MonkeyPatch, version: str, figure: str, told: str
) -> None:
    monkeypatch.setattr(reindex.project, "open_project", HelpProject.open)
    shown = CliRunner().invoke(main, ["--config", str(made), "figures", version, figure])
    assert shown.exit_code == 2
    assert told in shown.output


def test_conditions_about_no_figure_are_told_before_anybody_promotes(project: HelpProject) -> None:
    """Those of a canary are not there before the canary is."""
    rules = ("ndgc@10.change >= 0", "slice.*.change >= 0", "canary.success > 0", "drift <= 1%")
    gate = project.settings.gate.model_copy(update={"conditions": rules})
    project.settings = project.settings.model_copy(update={"gate": gate})
    first, second = project.unasked_conditions("v2")
    assert first.startswith("'ndgc@10.change >= 0': this comparison has no such figure; did you")
    assert second.startswith("'slice.*.change >= 0': this comparison has no figure of this form")


def test_junit_has_a_case_per_condition(project: HelpProject) -> None:
    found = project.report("v2")
    suite = ET.fromstring(junit(found)).find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [c.name for c in found.decision.conditions]
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "0")


def test_junit_tells_failures_and_what_is_inconclusive(project: HelpProject) -> None:
    gate = project.settings.gate.model_copy(update={"min_effect": 0.3, "max_latency_ms": 0.001})
    project.settings = project.settings.model_copy(update={"gate": gate})
    found = project.report("v2")
    root = ET.fromstring(junit(found))
    assert (root.get("failures"), root.get("skipped")) == ("1", "1")
    failure, skipped = root.find(".//failure"), root.find(".//skipped")
    assert failure is not None
    assert "required: latency.p50_ms" in str(failure.get("message"))
    assert skipped is not None
    assert str(skipped.get("message")).startswith("inconclusive: ")
    assert found.sentence.startswith("v2 fails the gate: 2 of 7 conditions did not pass (nDCG@10, ")


def test_after_the_flip_it_shows_what_was_decided_by(made: Path, tmp_path: Path) -> None:
    with HelpProject.open(copy_project(made, tmp_path / "copy")) as opened:
        before = opened.report("v2")
        opened.promote("v2", reason="it is better")
        after = opened.report("v2")
        assert after.flip is not None
        assert [c.name for c in after.decision.conditions[:2]] == ["ndcg@10", "coverage"]
        assert after.verdict == before.verdict
        assert "it is better" in render(after)
        assert "as they were decided at the promotion" in render(after)


def test_a_version_that_was_never_compared_has_a_report(project: HelpProject) -> None:
    found = project.report("v1")
    assert (found.judged, found.unjudged) == (None, None)
    assert "Not compared yet" in render(found)
    with pytest.raises(ComparisonError, match="never compared with v9"):
        project.report("v2", against="v9")
    with pytest.raises(UnknownVersion):
        project.report("v7")


def test_results_that_were_not_kept_leave_the_rest(made: Path, tmp_path: Path) -> None:
    """As in a registry of an older release."""
    with HelpProject.open(copy_project(made, tmp_path / "copy")) as opened:
        opened.registry.execute("DELETE FROM comparison_results")
        page = render(opened.report("v2"))
        assert "Biggest wins" in page
        assert "No results were kept." in page


# -- hostile texts, and no judgements


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    write_documents(folder, [f"{text} number {n}" for n in range(6) for text in HOSTILE[:3]])
    queries = folder / "queries.jsonl"
    rows = ({"_id": f"q{n}", "text": text} for n, text in enumerate(HOSTILE))
    queries.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with hash_project(folder, evaluation={"resamples": 50, "k": 4, "note": HOSTILE[0]}) as opened:
        opened.build("v1")
        opened.promote("v1")
        opened.build("v2")
        opened.compare_unjudged("v2", read_query_texts(queries))
    return folder


def test_hostile_texts_are_escaped_everywhere(hostile: Path) -> None:
    with HashWorkspace.open(hostile) as opened:
        found = opened.report("v2")
        page = render(found)
        assert "<script" not in page
        assert "<img" not in page
        assert "svg onload" not in page.replace("&lt;svg onload", "")
        assert "&lt;script&gt;fetch(" in page
        assert "{{ 7 * 7 }}" in page
        ET.fromstring(junit(found))


def test_without_judgements_it_says_so(hostile: Path) -> None:
    with HashWorkspace.open(hostile) as opened:
        found = opened.report("v2")
        assert found.verdict == "not judged"
        assert found.sentence.startswith("v2 is not judged. Of the first 4 results")
        page = render(found)
        assert "Most different results" in page
        assert "<h2>Gate</h2>" not in page
        assert ET.fromstring(junit(found)).get("skipped") == "1"


# -- the command


def command(made: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    monkeypatch.setattr(reindex.project, "open_project", HelpProject.open)
    return CliRunner().invoke(main, ["-c", str(made), *words], catch_exceptions=False)


def test_the_command_writes_what_is_asked_for(
    made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command(made, monkeypatch, "report", "v2")
    assert "report-v2.html" in done.stdout
    assert (tmp_path / "report-v2.html").read_text("utf-8").startswith("<!doctype html>")
    done = command(made, monkeypatch, "report", "v2", "--json", "--junit", "ci/gate.xml")
    assert json.loads(done.stdout)["verdict"] == "pass"
    assert ET.parse(tmp_path / "ci" / "gate.xml").getroot().tag == "testsuites"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["ci", "report-v2.html"]
    done = command(made, monkeypatch, "report", "v2", "-o", "-")
    assert done.stdout.startswith("<!doctype html>")
