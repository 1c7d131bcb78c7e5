"""`reindex plan` over real projects: hash encoders, the embedded store, and a real artifact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reindex.config import load_settings
from reindex.forecast import LOG_BYTES
from reindex.pacing import Budget
from reindex.registry.control import Control
from reindex.stages import planning
from reindex.stages.building import build
from reindex.stages.planning import BuildPlan, plan
from reindex.stages.supervision import collection_lock, supervised
from tests.hash_project import DIM, PREFIX, HashWorkspace, hash_project, write_documents

DOCUMENTS = 2_000


@pytest.fixture
def project(tmp_path: Path) -> Iterator[HashWorkspace]:
    write_documents(tmp_path, [f"text {number} " + "word " * 40 for number in range(DOCUMENTS)])
    with hash_project(tmp_path, versions=2) as workspace:
        yield workspace


def errors(made: BuildPlan) -> list[str]:
    return [item.what for item in made.findings if item.severity == "error"]


def test_the_figures_of_a_build_to_come(project: HashWorkspace) -> None:
    made = plan(project, "v1")
    assert (made.documents, made.counted, made.present, made.texts) == (2000, True, 0, 2000)
    assert (made.dim, made.prefix_dim, made.layout) == (DIM, PREFIX, "two-stage")
    assert made.encode_rate > 0
    assert made.seconds >= made.texts / made.encode_rate
    assert made.feasible, made.findings
    names = [item.name for item in made.alternatives]
    assert names == ["full vectors only", f"{PREFIX} dimensions only"]
    assert project.store.collections() == []  # nothing was made


def test_a_long_build_can_be_spread(project: HashWorkspace) -> None:
    made = plan(project, "v1")
    long = replace(made, documents=10**7, texts=10**7, encode_rate=1000.0, seconds=1e4)
    parts, night = planning._gentler(long)
    assert parts.how.startswith("--budget 83m: about 5,000,000 texts")
    assert night.how == "reindex throttle 231/s"
    assert night.seconds == pytest.approx(12 * 3600, rel=0.01)


def test_workers_divide_the_embedding_and_nothing_else(project: HashWorkspace) -> None:
    made = plan(project, "v1")
    assert planning._past_one_machine(project, made) == []  # seconds: not worth a cluster
    made = replace(made, encode_rate=100.0, read_rate=1000.0, seconds=1e5)
    long = replace(made, documents=10**7, texts=10**7)
    four, sixteen = planning._past_one_machine(project, long)
    assert (four.name, four.seconds) == ("on 4 workers", 25_000)
    assert four.how == "--engine ray: 400 texts/s, each worker as this machine"
    assert (sixteen.name, sixteen.seconds) == ("on 16 workers", 10_000)
    assert sixteen.how.endswith("; the driver's 1,000 documents/s decide")
    throttled, _ = planning._past_one_machine(project, replace(long, throttle=200.0))
    assert throttled.seconds == 50_000
    assert throttled.how.endswith("; the throttle decides")


def test_what_is_there_costs_nothing(project: HashWorkspace) -> None:
    build(project, "v1", budget=Budget(texts=1_000))
    made = plan(project, "v1")
    assert 800 < made.present < 1250  # 1,024 of 2,000, from a sample of 512
    assert made.texts == made.documents - made.present
    build(project, "v1")
    assert plan(project, "v1").texts == 0


def test_the_disk_figure_bounds_what_a_build_takes(project: HashWorkspace) -> None:
    made = plan(project, "v1")
    build(project, "v1")
    folder = project.settings.resolve(project.settings.store.path)
    files = [file for file in folder.rglob("*") if file.is_file()]
    taken = sum(file.stat().st_blocks * 512 for file in files)
    data = sum(file.stat().st_blocks * 512 for file in files if file.parent.name != "wal")
    assert taken <= made.disk
    # the payloads of the test compress well, so not the half of their bound is used
    assert data >= 0.25 * (made.disk - LOG_BYTES)


def test_a_throttle_is_part_of_the_time(project: HashWorkspace) -> None:
    Control(project.registry).set_throttle(10, "ann@here")
    made = plan(project, "v1")
    assert made.seconds == pytest.approx(200)
    assert made.throttle == 10


def test_what_would_fail_is_said_before(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "_free", lambda path: 1000)
    corpus = project.settings.root / "data" / "corpus.jsonl"
    corpus.write_text(corpus.read_text("utf-8") + "no json\n" * 100, "utf-8")
    lock = collection_lock("docs--v1")
    with supervised(project, "build", "v1", locks=[lock]):
        made = plan(project, "v1")
    found = "\n".join(errors(made))
    for part in ("works on the collection", "rows are bad", "the store needs", "temporary folder"):
        assert part in found
    assert not made.feasible


def test_a_collection_of_another_artifact_is_an_error(project: HashWorkspace) -> None:
    build(project, "v1")
    project.registry._update("versions", "name", "v1", encoding="another")
    assert "another artifact" in errors(plan(project, "v1"))[0]


def test_a_store_that_does_not_answer_is_a_finding(tmp_path: Path) -> None:
    write_documents(tmp_path, ["one", "two"])
    values: dict[str, Any] = {
        "store": {"kind": "server"},
        "qdrant": {"url": "http://127.0.0.1:9", "attempts": 1, "prefer_grpc": False},
    }
    with hash_project(tmp_path, versions=1, **values) as workspace:
        made = plan(workspace, "v1")
    assert errors(made)[0].startswith("the store: ")
    assert made.free is None


def test_the_command_prints_tables_or_one_document(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    import reindex.project
    from reindex.cli import main

    monkeypatch.setattr(reindex.project, "open_project", HashWorkspace.open)
    root = str(project.settings.root)
    shown = CliRunner().invoke(main, ["-c", root, "plan", "v1"])
    assert shown.exit_code == 0, shown.output
    for part in ("distinct texts to embed", "rate of this machine", "full vectors only"):
        assert part in shown.output
    document = json.loads(CliRunner().invoke(main, ["-c", root, "plan", "v1", "--json"]).stdout)
    assert (document["documents"], document["feasible"]) == (DOCUMENTS, True)
    corpus = load_settings(project.settings.root).root / "data" / "corpus.jsonl"
    corpus.write_text("{}\n" * 200 + corpus.read_text("utf-8"), "utf-8")
    assert CliRunner().invoke(main, ["-c", root, "plan", "v1"]).exit_code == 1
