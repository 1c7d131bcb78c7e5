"""A gate of conditions alone, where nobody judged: a recorded comparison is needed all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from reindex.config import GateSettings
from reindex.errors import PromotionRefused
from reindex.gate import Condition
from reindex.records import Query
from reindex.registry.serving_plans import ServingPlans
from reindex.report.page import render
from reindex.stages.promoting import approve, promote
from tests.hash_project import HashWorkspace, hash_project, write_documents

QUERIES = [Query(f"q{number}", f"question {number}") for number in range(12)]
CONDITIONS = ("latency.p50_ms <= 1000ms", "overlap@5 >= 0")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[HashWorkspace]:
    write_documents(tmp_path, [f"document {number} of ours" for number in range(60)])
    gate = {"judged": False, "conditions": list(CONDITIONS)}
    evaluation = {"resamples": 100, "k": 5}
    with hash_project(tmp_path, gate=gate, evaluation=evaluation) as made:
        made.build("v1")
        made.promote("v1")
        made.build("v2")
        yield made


def found(project: HashWorkspace, *, require_approval: bool = False) -> dict[str, Condition]:
    decision = promote(project, "v2", dry_run=True, require_approval=require_approval).decision
    return {item.name: item for item in decision.conditions}


def test_without_a_comparison_nothing_is_promoted(project: HashWorkspace) -> None:
    with pytest.raises(PromotionRefused, match="never compared"):
        promote(project, "v2")


def test_conditions_alone_decide_and_the_flip_tells_by_what(project: HashWorkspace) -> None:
    stored, _ = project.compare_unjudged("v2", QUERIES)
    asked = found(project)
    assert asked["comparison"].figure == f"comparison {stored.id} without judgements, 12 queries"
    assert {item.verdict for item in asked.values()} == {"pass"}
    assert "recall@10" not in asked
    assert {"latency.p50_ms", "overlap@5", "drift", "coverage"} <= asked.keys()
    done = promote(project, "v2").promotion
    assert done is not None
    assert project.live_collection() == "docs--v2"
    assert [item["name"] for item in done.conditions] == [*asked]


def test_a_condition_that_fails_keeps_it_back(project: HashWorkspace) -> None:
    gate = project.settings.gate.model_copy(update={"conditions": ("overlap@5 >= 0.9 shown",)})
    project.settings = project.settings.model_copy(update={"gate": gate})
    project.compare_unjudged("v2", QUERIES)
    with pytest.raises(PromotionRefused, match="overlap@5"):
        promote(project, "v2")
    assert "<h2>Gate</h2>" in render(project.report("v2"))


def test_another_build_or_way_of_searching_needs_another_comparison(
    project: HashWorkspace,
) -> None:
    project.compare_unjudged("v2", QUERIES)
    project.registry.update_collection("docs--v2", writes=1000)
    assert found(project)["drift"].verdict == "fail"
    project.registry.update_collection("docs--v2", writes=0)
    project.tune("v2", target=0.5, other_layouts=False)
    if ServingPlans(project.registry).of("docs--v2"):
        assert found(project).keys() >= {"comparison", "drift"}
    project.registry.update_collection("docs--v2", build="another")
    assert found(project)["comparison"].verdict == "fail"


def test_it_can_be_approved(project: HashWorkspace) -> None:
    with pytest.raises(PromotionRefused, match="nothing to approve"):
        approve(project, "v2", by="Ada")
    project.compare_unjudged("v2", QUERIES)
    assert found(project, require_approval=True)["approval"].verdict == "fail"
    approve(project, "v2", by="Ada")
    assert found(project, require_approval=True)["approval"].verdict == "pass"


def test_a_gate_that_judges_takes_no_unjudged_comparison(project: HashWorkspace) -> None:
    project.compare_unjudged("v2", QUERIES)
    gate = project.settings.gate.model_copy(update={"judged": True})
    project.settings = project.settings.model_copy(update={"gate": gate})
    with pytest.raises(PromotionRefused, match="never compared"):
        promote(project, "v2")


def test_nothing_to_decide_by_is_no_gate() -> None:
    with pytest.raises(ValidationError, match="nothing to decide by"):
        GateSettings(judged=False)
