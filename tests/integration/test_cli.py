"""The whole loop from the command line, on a tiny model that really learns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import reindex
from reindex.errors import PromotionRefused
from tests.copying import copy_project
from tests.loop_fixtures import LEARNABLE, run, run_json, write_beir
from tests.training_fixtures import tiny_base  # noqa: F401

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tiny_base: str) -> Path:  # noqa: F811
    """v1 (the base) is live, v2 (fine-tuned) is built and compared. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("loop") / "project"
    write_beir(folder / "data")
    (folder / "reindex.toml").write_text(LEARNABLE.format(base=tiny_base), "utf-8")
    assert "v1" in run(folder, "init", "--adopt").output
    run(folder, "export", "v1")
    run(folder, "build", "v1")
    run(folder, "promote", "v1")
    assert "v2" in run(folder, "train").output
    run(folder, "export", "v2")
    run(folder, "build", "v2")
    assert "pass" in run(folder, "compare", "v2").output.lower()
    return folder


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Path:
    return copy_project(built, tmp_path / "project")


def test_the_loop_ends_in_a_better_version_that_is_live(project: Path) -> None:
    dry = run_json(project, "promote", "v2", "--dry-run")
    assert dry["verdict"] == "pass"
    assert dry["flip"] is None
    verdicts = {item["name"]: item["verdict"] for item in dry["decision"]["conditions"]}
    wanted = ("recall@10", "coverage", "two-stage", "latency", "drift", "leakage", "near leakage")
    assert {name: verdicts[name] for name in wanted} == dict.fromkeys(wanted, "pass")
    done = run_json(project, "promote", "v2")["flip"]
    assert (done["from_collection"], done["to_collection"]) == ("docs--v1", "docs--v2")
    hits = run_json(project, "search", "apple engine", "-k", "3")
    assert hits["version"] == "v2"
    assert len(hits["hits"]) == 3
    back = run_json(project, "rollback", "--reason", "second thoughts")
    assert (back["to_collection"], back["reason"]) == ("docs--v1", "second thoughts")
    assert run_json(project, "search", "apple engine")["version"] == "v1"
    run(project, "promote", "v2")
    kinds = [item["kind"] for item in run_json(project, "history")]
    assert kinds == ["promote", "rollback", "promote", "promote"]
    status = run_json(project, "status")
    assert status["live_version"] == "v2"
    assert status["differences"] == []


def test_a_comparison_is_recorded_and_its_reuse_counted(project: Path) -> None:
    first = run_json(project, "compare", "v2")
    again = run_json(project, "compare", "v2")
    assert again["judged_set_uses"] == first["judged_set_uses"] + 1
    assert again["leaked"] == 0
    with reindex.open(project) as opened:
        stored = opened.registry.comparisons()[0]
        scores = opened.registry.comparison_scores(stored.id)
        assert {"recall@10", "ndcg@10", "mrr@10"} <= set(scores)
        assert len(scores["recall@10"]) == first["queries"]


def test_two_versions_can_be_compared_whatever_is_live(project: Path) -> None:
    run(project, "promote", "v2")
    run(project, "compare", "v2", code=1)  # it is what is live
    found = run_json(project, "compare", "v1", "--against", "v2", code=3)
    assert found["verdict"] == "fail"


def test_what_is_done_is_not_done_again(project: Path) -> None:
    assert "already" in run(project, "train").output
    artifact = next((project / ".reindex" / "artifacts" / "v2").glob("manifest.json"))
    before = artifact.stat().st_mtime_ns
    run(project, "export", "v2")
    assert artifact.stat().st_mtime_ns == before
    again = run_json(project, "build", "v2")
    assert (again["embedded"], again["unchanged"]) == (0, 400)


def test_a_plan_counts_tokens(project: Path) -> None:
    made = run_json(project, "plan", "v2")
    assert (made["documents"], made["present"], made["texts"]) == (400, 400, 0)
    assert made["tokens"]["mean"] >= 4  # two words, and the special tokens
    assert made["tokens"]["truncated"] == 0
    assert "tokens a document" in run(project, "plan", "v2").output


def test_run_does_all_of_it_in_one_go(project: Path) -> None:
    outcome = run_json(project, "run", "--seed", "5", "--promote")
    assert outcome["trained"]["version"]["name"] == "v3"
    assert outcome["decision"]["version"] == "v3"
    assert outcome["promotion"]["to_collection"] == "docs--v3"
    assert run_json(project, "status")["live_version"] == "v3"


def test_training_on_pairs_from_a_file_leaves_judged_queries_out(
    project: Path, tmp_path: Path
) -> None:
    rows: list[dict[str, str]] = [
        *({"query": f"something new {n}", "positive": f"its answer {n}"} for n in range(40)),
    ]
    judged = json.loads((project / "data" / "queries.jsonl").read_text("utf-8").splitlines()[0])
    rows.append({"query": judged["text"].upper(), "positive": "another"})
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    found = run_json(project, "train", "--pairs", str(pairs), "--epochs", "1", "--base", "v1")
    assert found["version"]["name"] == "v3"
    assert found["held_out"] == 1
    assert found["version"]["base"] == "v1"
    with reindex.open(project) as opened:
        assert opened.registry.datasets()[-1]["name"] == str(pairs)


def test_training_on_another_corpus(project: Path, tmp_path: Path) -> None:
    other = write_beir(tmp_path / "other")
    found = run_json(project, "train", "--corpus", str(other), "--epochs", "1", "--max-pairs", "64")
    assert found["version"]["recipe"]["lineage"]["seed"] == 13


def test_leaked_queries_stop_a_promotion(project: Path) -> None:
    from reindex.records import query_hash

    with reindex.open(project) as opened:
        text = next(iter(opened.judgements("test").queries)).text  # type: ignore[union-attr]
        opened.registry.record_training_queries("v2", [query_hash(text)])
    assert run_json(project, "compare", "v2")["leaked"] == 1
    refused = run_json(project, "promote", "v2", code=3)
    assert refused["verdict"] == "fail"
    told = {item["name"]: item["figure"] for item in refused["decision"]["conditions"]}
    assert told["leakage"].startswith("1. Judged queries in the training data: ")
    assert text in told["leakage"]


def test_a_changed_collection_must_be_compared_again(project: Path) -> None:
    corpus = project / "data" / "corpus.jsonl"
    corpus.write_text(corpus.read_text("utf-8").replace('"text": "', '"text": "new '), "utf-8")
    run(project, "build", "v2")
    refused = run_json(project, "promote", "v2", code=3)
    verdicts = {item["name"]: item["verdict"] for item in refused["decision"]["conditions"]}
    assert verdicts["drift"] == "fail"


def test_inconclusive_has_its_own_exit_code(project: Path) -> None:
    config = project / "reindex.toml"
    config.write_text(config.read_text("utf-8") + "[evaluation]\nmax_queries = 12\n", "utf-8")
    assert "inconclusive" in run(project, "compare", "v2", code=4).output.lower()
    assert run_json(project, "promote", "v2", code=4)["verdict"] == "inconclusive"
    with reindex.open(project) as opened, pytest.raises(PromotionRefused) as refused:
        opened.promote("v2")
    assert refused.value.verdict == "inconclusive"


def test_search_has_filters_offset_and_versions(project: Path) -> None:
    found = run_json(project, "search", "apple engine", "--where", "row=3", "-k", "50")
    assert {hit["payload"]["row"] for hit in found["hits"]} == {3}
    assert len(found["hits"]) == 20
    ranged = run_json(project, "search", "apple", "--where", 'row={"gte": 18}', "-k", "99")
    assert {hit["payload"]["row"] for hit in ranged["hits"]} == {18, 19}
    assert run_json(project, "search", "apple", "--version", "v2")["version"] == "v2"
    run(project, "search", "apple", "--where", "row", code=2)
    text = run(project, "search", "apple engine", "-k", "2")
    assert "  1. " in text.stdout
    assert "answered by v1" in text.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["export", "v9"], 1, "There is no version 'v9'. Versions: v1, v2"),
        (["build", "v9"], 1, "There is no version 'v9'"),
        (["compare", "v1"], 1, "v1 is what is live already"),
        (["promote", "v1"], 3, "live already"),
        (["promote", "v2", "--force"], 2, "--reason"),
        (["rollback"], 3, "nothing to go back to"),
        (["rollback", "v2"], 3, "never live"),
        (["init"], 1, "is a project already"),
        (["init", "--name", "other"], 1, "exists already"),
        (["train", "--epochs", "-1"], 2, "--epochs: Input should be greater than 0"),
        (["train", "--pairs", "nowhere.jsonl"], 1, "nowhere.jsonl"),
        (["train", "--base", "package:no_such_package"], 1, "no_such_package"),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_mistakes_are_answered_with_what_to_do(
    project: Path, arguments: list[str], code: int, message: str
) -> None:
    assert message in run(project, *arguments, code=code).output


def test_init_writes_the_options_into_the_config(tmp_path: Path) -> None:
    run(tmp_path, "init", "--source", "my data", "--kind", "jsonl", "--name", "wiki")
    with reindex.open(tmp_path) as opened:
        assert opened.settings.source.path == Path("my data")
        assert (opened.settings.source.kind, opened.settings.alias) == ("jsonl", "wiki")


def test_a_config_from_version_control_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "reindex.toml").write_text('[project]\nname = "wiki"\n', "utf-8")
    assert "reindex init" in run(tmp_path, "status", code=1).output
    assert "wiki" in run(tmp_path, "init").output
    assert run_json(tmp_path, "status")["project"] == "wiki"


def test_without_a_project_the_remedy_is_named(tmp_path: Path) -> None:
    assert "reindex init" in run(tmp_path, "status", code=1).output


def test_gc_keeps_everything_young(project: Path) -> None:
    cleaned = run_json(project, "gc", "--dry-run")
    assert cleaned["removed"] == []
    assert {name for name, _ in cleaned["kept"]} == {"docs--v1", "docs--v2"}
    assert "kept docs--v1: live" in run(project, "gc").output


def test_versions_shows_dev_metrics(project: Path) -> None:
    first, second = run_json(project, "versions")
    assert (first["kind"], second["kind"]) == ("base", "fine-tuned")
    after, before = second["metrics"]["after"], second["metrics"]["before"]
    assert after["ndcg@10"] > before["ndcg@10"]
    assert "fine-tuned" in run(project, "versions").output


def test_the_installed_command_and_the_python_door(project: Path) -> None:
    command = Path(sys.executable).with_name("reindex")
    done = subprocess.run(
        [command, "-c", project, "search", "apple engine", "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    expected = [hit["id"] for hit in json.loads(done.stdout)["hits"]]
    with reindex.open(project / "reindex.toml") as opened:
        results = opened.retriever().search("apple engine", k=10)
    assert [hit.id for hit in results] == expected
