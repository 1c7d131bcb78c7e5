"""The serving plan: measured on the collection, frozen, used by search and comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import reindex.project
from reindex.cli import main
from reindex.errors import ComparisonError, PromotionRefused
from reindex.evaluation.calibrate import Trial
from reindex.evaluation.front import OVERSAMPLINGS, FrontPoint, choose
from reindex.evaluation.layouts import Estimate, FirstStage, estimate_stages
from reindex.plain import from_plain, to_plain
from reindex.protocols import no_progress
from reindex.records import SearchPlan
from reindex.registry.serving_plans import SearchSettings, ServingPlans
from reindex.stages.tuning import Tuned, query_vectors
from tests.copying import copy_project
from tests.hash_encoder import HashEncoder
from tests.hash_project import DIM, PREFIX, HashWorkspace, hash_project, write_documents

TEXTS = [f"document number {number} of a made-up corpus" for number in range(1500)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """v1 is built and live, v2 is built."""
    folder = tmp_path_factory.mktemp("project")
    write_documents(folder, TEXTS)
    write_queries(folder, dev=40, test=40)
    with hash_project(folder, gate={"max_two_stage_loss": 0.1}) as made:
        for version in ("v1", "v2"):
            made.build(version)
        made.promote("v1", force=True, reason="first")
    return folder


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Iterator[HashWorkspace]:
    with HashWorkspace.open(copy_project(built, tmp_path / "project")) as made:
        yield made


def write_queries(folder: Path, *, dev: int, test: int) -> None:
    """Queries that are documents' texts, so that every encoder finds them at once."""
    data = folder / "data"
    rows = [json.dumps({"_id": f"q{i}", "text": TEXTS[i]}) for i in range(dev + test)]
    (data / "queries.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    (data / "qrels").mkdir(exist_ok=True)
    for name, numbers in (("dev", range(dev)), ("test", range(dev, dev + test))):
        if numbers:
            lines = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in numbers)]
            (data / "qrels" / f"{name}.tsv").write_text("\n".join(lines) + "\n", "utf-8")


def settings_of(project: HashWorkspace, version: str) -> SearchSettings:
    built = project.registry.collection(project.collection_of(version))
    assert built is not None
    return ServingPlans(project.registry).settings_of(built)


# -- the front


def test_the_chosen_point_reaches_the_target_and_is_frozen(project: HashWorkspace) -> None:
    before = settings_of(project, "v2")
    tuned = project.tune("v2", target=0.5)
    front, plan = tuned.front, tuned.plan
    assert plan is not None
    assert front.reached
    assert front.chosen.recall >= 0.5
    assert plan.settings == settings_of(project, "v2") != before
    assert from_plain(Tuned, to_plain(tuned)) == tuned  # as it comes from an owner
    (row,) = [item for item in project.status().collections if item.version == "v2"]
    assert row.oversampling == plan.oversampling
    assert (plan.recall, plan.target, plan.k) == (front.chosen.recall, 0.5, 10)
    measured = [point for point in front.points if point.measured]
    recalls = [point.recall for point in measured]
    assert recalls == sorted(recalls)
    assert {point.hnsw_ef for point in measured} == {None}  # no graph: its width changes nothing
    assert {point.memory for point in measured} == {1500 * PREFIX * 4}


def test_what_is_out_of_reach_changes_nothing(project: HashWorkspace) -> None:
    before = settings_of(project, "v2")
    tuned = project.tune("v2", target=0.99999)
    assert not tuned.front.reached
    assert tuned.plan is None
    assert settings_of(project, "v2") == before
    assert tuned.front.chosen.recall == max(point.recall for point in tuned.front.points)


def test_recall_is_that_of_exact_search_on_the_same_vectors(project: HashWorkspace) -> None:
    vectors, _ = query_vectors(project, HashEncoder(DIM, seed=2), project.collection_of("v2"))
    name = project.collection_of("v2")
    tuned = project.tune("v2", target=0.5)
    point = tuned.front.points[0]
    shares = []
    for vector in vectors:
        plans = SearchPlan(exact=True), SearchPlan(two_stage=True, oversampling=point.oversampling)
        exact, found = ({hit.id for hit in project.store.search(name, vector, p)} for p in plans)
        shares.append(len(exact & found) / len(exact))
    assert point.recall == pytest.approx(float(np.mean(shares)), abs=1e-9)


def estimates(project: HashWorkspace, name: str, stages: list[FirstStage]) -> list[Estimate]:
    vectors, _ = query_vectors(project, HashEncoder(DIM, seed=2), name)
    return estimate_stages(
        project.store, name, vectors, stages, k=10, candidates=OVERSAMPLINGS, progress=no_progress
    )


def test_computed_layouts_equal_measured_ones(project: HashWorkspace, tmp_path: Path) -> None:
    """What is computed from the vectors is what a collection of that layout then shows."""
    name = project.collection_of("v2")
    found = estimates(project, name, [FirstStage(PREFIX), FirstStage(8)])
    other = tmp_path / "other"
    other.mkdir()
    write_documents(other, TEXTS)
    write_queries(other, dev=40, test=40)
    vectors, _ = query_vectors(project, HashEncoder(DIM, seed=2), name)
    with hash_project(other, store={"prefix_dim": 8}) as short:
        short.build("v2")
        stores = {PREFIX: project.store, 8: short.store}
        for dim, store in stores.items():
            trial = Trial(store, name, vectors, 10)
            rows = [row for row in found if row.stage.dim == dim]
            for row in rows:
                plan = SearchPlan(two_stage=True, oversampling=row.oversampling)
                assert trial(plan).overlap == pytest.approx(row.recall, abs=0.003), row


def test_quantized_first_stages_lose_in_their_order(project: HashWorkspace) -> None:
    stages = [FirstStage(PREFIX, kind) for kind in ("none", "scalar", "binary")]
    found = estimates(project, project.collection_of("v2"), stages)
    at_four = {row.stage.quantization: row.recall for row in found if row.oversampling == 4}
    assert at_four["none"] > at_four["binary"] + 0.1
    assert at_four["scalar"] == pytest.approx(at_four["none"], abs=0.03)


def point(oversampling: int, recall: float, ms: float | None, ef: int | None = None) -> FrontPoint:
    return FrontPoint(16, "none", oversampling, ef, recall, ms, 100)


def test_less_work_wins_whatever_the_clock_says_and_the_clock_decides_between_kinds() -> None:
    points = [point(4, 0.98, 1.0), point(8, 0.99, 1.3), point(16, 0.995, 1.0), point(32, 1, 2)]
    assert choose(points, 0.99) == points[1]
    assert choose(points, 0.999) == points[3]
    assert choose([*points, point(2, 1.0, None)], 0.999) == points[3]  # computed: not to be had
    assert choose(points[:2], 0.999) == points[1]
    wider = point(4, 0.99, 1.2, ef=256)
    assert choose([*points, wider], 0.99) == wider
    assert choose([*points, point(4, 0.99, 1.4, ef=256)], 0.99) == points[1]


# -- what it is chosen on


def test_it_is_chosen_on_dev_queries(project: HashWorkspace) -> None:
    assert project.tune("v2", target=0.5).front.asked == "40 dev queries"


def test_never_on_the_judged_test_queries(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS[:200])
    write_queries(tmp_path, dev=0, test=40)
    with hash_project(tmp_path) as project:
        project.build("v1")
        (build,) = (run for run in project.registry.runs() if run.kind == "build")
        assert build.details["calibration"]["queries"] == "the beginnings of 200 documents"
        front = project.tune("v1", target=0.5).front
        assert front.asked == "the beginnings of 200 documents"


# -- who uses it


def test_search_and_comparison_use_it_at_once(project: HashWorkspace) -> None:
    retriever = project.retriever("v2")
    before = retriever.search(TEXTS[0])
    lease = retriever.lease()  # type: ignore[union-attr]
    tuned = project.tune("v2", target=0.5)
    assert tuned.plan is not None
    again = retriever.lease()  # type: ignore[union-attr]
    assert again.oversampling == tuned.plan.oversampling != lease.oversampling
    assert again.encoder is lease.encoder
    assert retriever.search(TEXTS[0])[0] == before[0]
    _, comparison = project.compare("v2")
    assert comparison.candidate.oversampling == tuned.plan.oversampling
    assert project.untune("v2")
    assert retriever.lease().oversampling == lease.oversampling  # type: ignore[union-attr]
    assert not project.untune("v2")


def test_a_promotion_needs_a_comparison_of_what_will_serve(project: HashWorkspace) -> None:
    project.compare("v2")
    project.tune("v2", target=0.5)
    with pytest.raises(PromotionRefused, match="search settings"):
        project.promote("v2")
    project.compare("v2")
    with pytest.raises(PromotionRefused) as refused:  # for another reason: they are equally good
        project.promote("v2")
    assert "search settings" not in str(refused.value)


def test_an_incomplete_collection_is_not_tuned(tmp_path: Path) -> None:
    with (
        hash_project(tmp_path) as project,
        pytest.raises(ComparisonError, match="reindex build v1"),
    ):
        project.tune("v1")


# -- how long it lasts


def test_a_build_of_another_layout_has_no_plan(project: HashWorkspace) -> None:
    tuned = project.tune("v2", target=0.5)
    assert tuned.plan is not None
    name = project.collection_of("v2")
    project.build("v2")
    assert settings_of(project, "v2") == tuned.plan.settings  # the same build: it stays
    project.store.drop(name)
    project.build("v2")
    assert ServingPlans(project.registry).of(name) is None


def test_after_many_changes_the_plan_is_measured_again(
    project: HashWorkspace, tmp_path: Path
) -> None:
    tuned = project.tune("v2", target=0.52)
    assert tuned.plan is not None
    write_documents(tmp_path / "project", TEXTS + [f"{text}, again" for text in TEXTS])
    project.build("v2")
    plan = ServingPlans(project.registry).of(project.collection_of("v2"))
    assert plan is not None
    assert plan.target == 0.52
    assert plan.recall >= 0.52
    assert plan.writes > tuned.plan.writes
    assert plan.oversampling > tuned.plan.oversampling  # twice the documents need more candidates


# -- the command


def test_the_command_prints_the_front_and_marks_the_chosen_point(
    project: HashWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.close()
    monkeypatch.setattr(reindex.project, "open_project", HashWorkspace.open)
    monkeypatch.setenv("REINDEX_CONFIG", str(tmp_path / "project"))
    done = CliRunner().invoke(main, ["tune", "v2", "--target-recall", "0.5"])
    assert done.exit_code == 0, done.output
    (chosen,) = [line for line in done.output.splitlines() if line.strip().startswith("→")]
    assert "Frozen for v2: oversampling" in done.output
    read = json.loads(
        CliRunner().invoke(main, ["tune", "v2", "--target-recall", "0.5", "--json"]).output
    )
    assert read["plan"]["target"] == 0.5
    assert str(read["front"]["chosen"]["oversampling"]) in chosen
    failed = CliRunner().invoke(main, ["tune", "v2", "--target-recall", "0.99999"])
    assert failed.exit_code == 1
    assert "Nothing was changed" in failed.output
    forgot = CliRunner().invoke(main, ["tune", "v2", "--forget"])
    assert (forgot.exit_code, forgot.output) == (0, "The plan is taken back.\n")
