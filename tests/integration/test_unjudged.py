"""Comparing without judgements, letting people judge, and comparing by what they said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import reindex.project
from reindex.cli import main
from reindex.corpus.judgements import read_qrels, read_query_texts
from reindex.errors import ComparisonError, PromotionRefused
from reindex.evaluation.results_queries import Results
from reindex.evaluation.unjudged import UnjudgedComparison
from reindex.owner.jobs import KINDS
from reindex.plain import to_plain
from reindex.records import query_hash
from reindex.registry.result_book import ResultBook
from reindex.stages.judging import last_results
from reindex.stages.leaking import judged_hashes
from tests.copying import copy_project
from tests.hash_project import HashWorkspace, hash_project, write_documents

QUERIES = [f"question {number}" for number in range(12)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    write_documents(folder, [f"document {number} of ours" for number in range(60)])
    with hash_project(folder, evaluation={"resamples": 100, "k": 5}) as made:
        made.build("v1")
        made.promote("v1")
        made.build("v2")
    return folder


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Iterator[HashWorkspace]:
    with HashWorkspace.open(copy_project(built, tmp_path / "project")) as copied:
        yield copied


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.txt"
    path.write_text("\n".join(QUERIES) + "\n")
    return path


def command(project: HashWorkspace, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    """A command over the project; it opens the project anew."""
    project.close()
    monkeypatch.setattr(reindex.project, "open_project", HashWorkspace.open)
    where = str(project.settings.root)
    return CliRunner().invoke(main, ["-c", where, *words], catch_exceptions=False)


def test_without_judgements_there_is_agreement_and_no_verdict(
    project: HashWorkspace, log: Path
) -> None:
    stored, found = project.compare_unjudged("v2", read_query_texts(log))
    assert (found.queries, found.verdict) == (12, "not judged")
    assert 0 <= found.agreement.overlap.mean < 1
    assert "Nobody judged" in found.reason
    assert found.candidate_latency.p50_ms > 0
    kept = ResultBook(project.registry).of_unjudged(stored.id)
    assert kept is not None
    assert Results.unpacked(kept) == found.results
    assert UnjudgedComparison.from_dict(stored.result).agreement == found.agreement
    assert list(Results.unpacked(kept).queries[3].live) == list(found.results.queries[3].live)


def test_it_never_promotes(project: HashWorkspace, log: Path) -> None:
    project.compare_unjudged("v2", read_query_texts(log))
    with pytest.raises(PromotionRefused, match="never compared"):
        project.promote("v2")


def test_it_survives_the_way_through_an_owner(project: HashWorkspace, log: Path) -> None:
    done = project.compare_unjudged("v2", read_query_texts(log))
    plain = json.loads(json.dumps(to_plain(done)))
    assert KINDS["compare-unjudged"].result(plain) == done


def test_the_texts_of_the_most_different_queries_are_kept(
    project: HashWorkspace, log: Path
) -> None:
    _, found = project.compare_unjudged("v2", read_query_texts(log))
    assert found.results is not None
    first = found.results.most_different()[0]
    texts = [found.results.excerpts[id].text for id in first.documents]
    assert all("of ours" in text for text in texts), texts


def test_from_a_query_log_to_a_verdict(
    project: HashWorkspace, log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """compare --queries, pool, judge, compare --queries --qrels."""
    compared = command(project, monkeypatch, "compare", "v2", "--queries", str(log))
    assert compared.exit_code == 4
    assert "NOT JUDGED" in compared.output
    assert "reindex pool v2" in compared.output

    pool = tmp_path / "pool.jsonl"
    words = ("pool", "v2", "-o", str(pool), "--queries", "8", "--depth", "3", "--json")
    counted = json.loads(command(project, monkeypatch, *words).stdout)
    rows = [json.loads(line) for line in pool.read_text().splitlines()]
    assert counted["queries"] == len(rows) == 8
    assert counted["documents"] == sum(len(row["documents"]) for row in rows) > 8 * 3
    assert all("of ours" in item["text"] for row in rows for item in row["documents"])
    assert not {"live", "candidate", "score", "rank"} & set(rows[0]["documents"][0])

    answers = "".join("02"[number % 2] for number in range(counted["documents"]))
    judged = CliRunner().invoke(main, ["judge", str(pool)], input=answers)
    assert judged.exit_code == 0, judged.output
    assert "0 results are left" in judged.output
    qrels = tmp_path / "pool.qrels.tsv"
    assert sum(map(len, read_qrels(qrels).values())) == counted["documents"]

    files = ("--queries", str(pool), "--qrels", str(qrels), "--json")
    found = json.loads(command(project, monkeypatch, "compare", "v2", *files).stdout)
    assert found["queries"] == 8
    assert found["verdict"] in ("pass", "fail", "inconclusive")
    assert found["agreement"]["queries"] == 8
    assert any("were pooled where two versions differ (8 of" in line for line in found["warnings"])
    plain = command(project, monkeypatch, "compare", "v2", "--queries", str(log), *files[2:])
    assert json.loads(plain.stdout)["queries"] == 8  # the log's lines are the same queries


def test_pools_in_the_config_are_judged_by_and_stay_out_of_training(
    project: HashWorkspace, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project.settings.root
    command(project, monkeypatch, "compare", "v2", "--queries", str(log))
    pool = root / "pool.jsonl"
    assert command(project, monkeypatch, "pool", "v2", "-o", str(pool)).exit_code == 0
    project.close()
    held = HashWorkspace.open(root)
    assert {query_hash(text) for text in QUERIES} <= judged_hashes(held)
    held.close()
    CliRunner().invoke(main, ["judge", str(pool), "--max-grade", "1"], input="1" * 200)
    config = root / "reindex.toml"
    text = config.read_text()
    assert "# pools = []" in text
    config.write_text(text.replace("# pools = []", 'pools = ["pool.jsonl"]'))
    with HashWorkspace.open(root) as opened:
        judgements = opened.judgements("test")
        assert judgements is not None
        assert len(judgements.queries) == 12
        stored, found = opened.compare("v2")
        assert found.queries == 12
        assert last_results(opened, "v2")[0].id == stored.id


def test_other_wordings_of_the_configured_queries_are_left_out_where_others_judge(
    project: HashWorkspace, tmp_path: Path
) -> None:
    worded = project.settings.evaluation.model_copy(
        update={"variants": {"masked": Path("m.jsonl")}}
    )
    project.settings = project.settings.model_copy(update={"evaluation": worded})
    queries, qrels = tmp_path / "q.jsonl", tmp_path / "q.tsv"
    queries.write_text('{"_id": "a", "text": "question"}\n')
    qrels.write_text("a\td1\t1\n")
    project.judge_by(queries, qrels)
    assert project.compare("v2")[1].queries == 1


@pytest.mark.parametrize("number", ["0", "-3"])
def test_a_pool_of_no_queries_is_wrong_usage(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    assert command(project, monkeypatch, "pool", "v2", f"--queries={number}").exit_code == 2


def test_a_version_against_itself_is_told(project: HashWorkspace) -> None:
    for version, told in (("v1", "v1 is what is live already"), ("v2", "compared with itself")):
        with pytest.raises(ComparisonError, match=told):
            project.compare(version, against=version)


def test_nothing_to_pool_says_so(project: HashWorkspace) -> None:
    with pytest.raises(ComparisonError, match="never compared"):
        project.pool("v2")


def test_qrels_need_their_queries(project: HashWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("compare", "v2", "--qrels", str(project.settings.root / "reindex.toml"))
    assert command(project, monkeypatch, *words).exit_code == 2
