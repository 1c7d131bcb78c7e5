"""The gate over a registry: default conditions, conditions of one's own, what they may ask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reindex.config import GateSettings
from reindex.evaluation.results import Comparison
from reindex.gate import GateDecision, decide, known_figures
from reindex.registry import Registry
from tests.made_comparison import made_comparison, steps

BETTER = steps(200, 4)
GATE: dict[str, Any] = {"metric": "recall", "min_effect": 0.05}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """v1 and v2, both built."""
    made = Registry(tmp_path / "registry.db", create=True)
    for name in ("v1", "v2"):
        made.add_version(base="base", kind="base", recipe={})
        made.add_collection(
            name=f"world--{name}", version=name, space=name, encoding=name, build=f"build-{name}",
            layout="two-stage", source="files",
        )  # fmt: skip
        made.update_collection(f"world--{name}", source_documents=100, points=100, complete=True)
    return made


def compared(registry: Registry, comparison: Comparison, *, leaked: int = 0) -> None:
    body = comparison.as_dict()
    registry.add_comparison(
        body.pop("scores"), live="v1", candidate="v2", live_collection="world--v1",
        live_build="build-v1", candidate_collection="world--v2", candidate_build="build-v2",
        candidate_encoding="v2", candidate_writes=0, judged_set="set", leaked=leaked,
        verdict=comparison.verdict, result=body,
    )  # fmt: skip


def decided(registry: Registry, *rules: str, **gate: Any) -> GateDecision:
    settings = GateSettings(**{**GATE, **gate}, conditions=rules)
    return decide(registry, settings, version="v2", collection="world--v2", live="world--v1")


def verdicts(decision: GateDecision) -> dict[str, str]:
    return {item.name: item.verdict for item in decision.conditions}


def test_the_default_gate_names_each_condition_with_its_figure(registry: Registry) -> None:
    compared(registry, made_comparison(*BETTER))
    decision = decided(registry)
    assert verdicts(decision) == dict.fromkeys(
        ("recall@10", "coverage", "two-stage", "latency", "drift", "leakage"), "pass"
    )
    told = {item.name: (item.figure, item.required) for item in decision.conditions}
    assert told["coverage"] == ("100.0 %. 100 points for 100 documents.", "coverage >= 100%")
    assert told["latency"][1] == "latency.p50_ms <= 50ms"
    assert told["drift"][0].startswith("0.0 %. 0 of 100 points changed")


@pytest.mark.parametrize(
    ("changes", "gate", "failing"),
    [
        ({"p50_ms": 60.0}, {}, "latency"),
        ({"p50_ms": 60.0}, {"max_latency_ms": 61.0}, None),
        ({}, {"min_effect": 0.9}, "recall@10"),
    ],
)
def test_a_key_moves_its_condition(
    registry: Registry, changes: dict[str, Any], gate: dict[str, Any], failing: str | None
) -> None:
    compared(registry, made_comparison(*BETTER, **changes))
    decision = decided(registry, **gate)
    assert [item.name for item in decision.failed] == ([failing] if failing else [])


def test_leaked_queries_and_drift_fail(registry: Registry) -> None:
    compared(registry, made_comparison(*BETTER), leaked=2)
    registry.count_writes("world--v2", 2)
    assert [item.name for item in decided(registry).failed] == ["drift", "leakage"]


def test_a_build_that_did_not_finish_fails_whatever_coverage_is_asked_for(
    registry: Registry,
) -> None:
    compared(registry, made_comparison(*BETTER))
    registry.update_collection("world--v2", complete=False)
    assert [item.name for item in decided(registry, min_coverage=0.0).failed] == ["build"]


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ("ndcg@10.change >= 5% shown", "pass"),
        ("recall.change >= 45% shown", "inconclusive"),
        ("ndcg@10.change >= 99%", "fail"),
        ("drift <= 0%", "pass"),
        ("unjudged.candidate <= 0", "pass"),
    ],
)
def test_a_condition_of_ones_own_joins_the_default_ones(
    registry: Registry, rule: str, verdict: str
) -> None:
    compared(registry, made_comparison(*BETTER))
    decision = decided(registry, rule)
    assert decision.conditions[-1].required == rule
    assert (decision.conditions[-1].verdict, decision.verdict) == (verdict, verdict)


def test_a_mistyped_figure_fails_the_gate_and_is_told(registry: Registry) -> None:
    compared(registry, made_comparison(*BETTER))
    (failed,) = decided(registry, "recal@10.change > 0").failed
    assert "did you mean recall@10.change" in failed.figure


def test_what_was_not_compared_has_the_figures_of_its_build_alone(registry: Registry) -> None:
    assert list(known_figures(registry, "world--v2", "world--v1")) == ["coverage"]
    assert decided(registry).conditions[1].figure == "never compared"
    compared(registry, made_comparison(*BETTER))
    found: Sequence[str] = list(known_figures(registry, "world--v2", "world--v1", 3))
    assert {"recall@10.change", "drift", "unstamped", "leakage.exact"} <= set(found)
