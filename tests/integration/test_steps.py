"""Where the change comes from: planted faults are found in the step that they were planted in."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from reindex.cli.comparison_table import render_comparison
from reindex.config import GateSettings
from reindex.evaluation.compare import Comparison, Side
from reindex.evaluation.figures import figures
from reindex.evaluation.metrics import macro, per_query
from reindex.evaluation.results_steps import SideSteps, Steps
from reindex.evaluation.subset import encode_known
from reindex.gate.rules import conditions
from reindex.measures import Measure
from reindex.records import Vector
from tests.comparison_fixtures import DIM, PREFIX, WordEncoder, World, make_world

ALL = 600
"""More documents than the world has: the subset is everything."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("store"))


def with_fp32(side: Side, known: float) -> Side:
    return replace(side, fp32=lambda: WordEncoder(known, rounded=False))


@pytest.fixture(scope="module")
def live(world: World) -> Side:
    return with_fp32(world.build("v1", WordEncoder(0.3)), 0.3)


@pytest.fixture(scope="module")
def better(world: World) -> Side:
    return with_fp32(world.build("v2", WordEncoder(1.0)), 1.0)


def steps_of(found: Comparison) -> Steps:
    assert found.steps is not None
    return found.steps


def blamed(side: SideSteps) -> list[str]:
    return [step.name for step in side.blamed]


@pytest.fixture(scope="module")
def healthy(world: World, live: Side, better: Side) -> Comparison:
    return world.compare(live, better)


def test_the_parts_sum_to_the_change_of_search_as_it_serves(healthy: Comparison) -> None:
    found = steps_of(healthy)
    assert [part.name for part in found.parts] == ["model", "quantization", "truncation", "index"]
    total = sum(part.change for part in found.parts)
    assert total == pytest.approx(healthy.judged.difference, abs=1e-12)
    assert found.cause.name == "model"
    for side in (found.live, found.candidate):
        assert side.fp32 is not None
        lost = sum(step.loss for step in side.steps)
        assert side.fp32 - lost == pytest.approx(side.served, abs=1e-12)


def test_each_step_begins_where_the_one_before_it_ended(healthy: Comparison) -> None:
    side = steps_of(healthy).candidate
    quantization, truncation, index = side.steps
    assert (truncation.before, truncation.after) == (side.exact, index.before)
    assert index.after == side.served == healthy.judged.mean_candidate
    assert side.exact == healthy.candidate_stage.exact
    assert (quantization.documents, truncation.documents) == (150, 300)
    assert quantization.queries < truncation.queries == 120
    for step in side.steps:
        assert step.loss == pytest.approx(step.before - step.after)
        assert step.low <= step.relative <= step.high


def test_a_healthy_candidate_has_nothing_to_blame(healthy: Comparison) -> None:
    assert not steps_of(healthy).candidate.blamed


def test_where_the_subset_is_everything_fp32_is_measured_and_not_estimated(
    world: World, live: Side, better: Side, healthy: Comparison
) -> None:
    assert steps_of(healthy).candidate.estimated
    side = steps_of(world.compare(live, better, subset_documents=ALL)).candidate
    assert not side.estimated
    full = WordEncoder(1.0, rounded=False)
    documents = full.encode_documents([document.text for document in world.documents])
    queries = full.encode_queries([query.text for query in world.judgements.queries])
    best = np.argsort(-queries @ documents.T, axis=1, kind="stable")[:, :10]
    run = {
        query.id: [str(world.documents[row].id) for row in rows]
        for query, rows in zip(world.judgements.queries, best, strict=True)
    }
    expected = macro(per_query(run, world.judgements.qrels, [Measure("recall", 10)])["recall@10"])
    assert side.fp32 == pytest.approx(expected)


# -- planted faults


def test_a_damaged_quantization_is_named(world: World, live: Side) -> None:
    side = with_fp32(world.build("coarse", WordEncoder(0.9, grid=3)), 0.9)
    found = steps_of(world.compare(live, side, subset_documents=ALL))
    assert blamed(found.candidate) == ["quantization"]
    assert not found.live.blamed


def test_too_few_candidates_of_the_first_stage_are_named(
    world: World, live: Side, better: Side
) -> None:
    found = steps_of(world.compare(live, replace(better, oversampling=1)))
    assert blamed(found.candidate) == ["truncation"]
    step = found.candidate.step("truncation")
    assert step is not None
    assert step.relative > 0.02


def test_a_prefix_that_is_too_short_is_named(world: World, live: Side) -> None:
    short = world.build("short", WordEncoder(0.95), prefix=2, oversampling=4)
    found = steps_of(world.compare(live, short))
    assert blamed(found.candidate) == ["truncation"]


def test_a_fault_of_live_is_named_as_live(world: World, live: Side, better: Side) -> None:
    found = steps_of(world.compare(replace(live, oversampling=1), better))
    assert blamed(found.live) == ["truncation"]
    assert not found.candidate.blamed
    gain = next(part for part in found.parts if part.name == "truncation")
    assert gain.change > 0  # what live loses there, the candidate wins


# -- what a side does not have


def test_without_fp32_graphs_model_and_quantization_are_one_part(world: World) -> None:
    sides = world.build("plain", WordEncoder(0.2)), world.build("plainer", WordEncoder(0.85))
    found = world.compare(*sides)
    steps = steps_of(found)
    assert steps.candidate.fp32 is None
    assert [part.name for part in steps.parts] == ["model and quantization", "truncation", "index"]
    total = sum(part.change for part in steps.parts)
    assert total == pytest.approx(found.judged.difference, abs=1e-12)
    assert "exact search" in shown(found)


def test_a_single_layout_has_no_truncation(world: World, live: Side) -> None:
    single = world.build("single", WordEncoder(0.8), layout="single")
    found = steps_of(world.compare(live, single))
    assert found.candidate.step("truncation") is None
    assert found.candidate.lost("truncation") == 0


def test_a_judged_metric_that_looks_further_than_k(world: World, live: Side, better: Side) -> None:
    gate = GateSettings(metric="recall@30")
    found = world.compare(live, replace(better, oversampling=1), gate=gate)
    side = steps_of(found).candidate
    assert steps_of(found).metric == "recall@30"
    assert side.served == found.judged.mean_candidate
    assert side.lost("index") == 0  # nothing approximate here: both searches took 30 candidates
    assert side.lost("truncation") > 0


# -- what is shown


def test_every_step_is_a_figure(world: World, live: Side, better: Side) -> None:
    found = world.compare(live, replace(better, oversampling=1))
    named, side = figures(found), steps_of(found).candidate
    step = side.step("truncation")
    assert step is not None
    figure = named["step.truncation.loss"]
    assert (figure.value, figure.low, figure.high) == (step.relative, step.low, step.high)
    assert {"step.live.index.loss", "step.quantization.loss"} <= set(named)
    (asked,) = conditions(["step.truncation.loss <= 1% possible"], named, k=10)
    assert asked.verdict == "fail"
    changes = [named[f"step.{part.name}.change"].value for part in steps_of(found).parts]
    assert sum(changes) == pytest.approx(named["recall@10.difference"].value)


def test_the_table_shows_each_step_and_what_is_to_blame(
    world: World, live: Side, better: Side
) -> None:
    found = world.compare(live, replace(better, oversampling=1))
    text = shown(found)
    assert "Where the change comes from, recall@10" in text
    for step in ("fp32, exact search", "model's quantization", "truncation + rescoring"):
        assert step in text
    (line,) = [item for item in text.split("  ! ") if item.startswith("candidate: truncation")]
    assert f"1 × k candidates by the first {PREFIX} of {DIM} dims" in " ".join(line.split())


def shown(found: Comparison, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    render_comparison(found, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    return text


# -- vectors that are known are not computed again


class Remembering(WordEncoder):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.known_vectors: dict[str, Vector] = {}

    def recall(self, hashes: Sequence[str]) -> dict[str, Vector]:
        return {hash: self.known_vectors[hash] for hash in hashes if hash in self.known_vectors}

    def remember(self, vectors: dict[str, Vector]) -> None:
        self.known_vectors |= vectors


def test_known_vectors_are_not_computed_again() -> None:
    encoder, plain = Remembering(), WordEncoder(1.0)
    texts = ["w1 w2", "w3", "w1 w2", "w4"]
    expected = plain.encode_documents(texts)
    np.testing.assert_array_equal(encode_known(encoder, texts), expected)
    assert encoder.texts == 3
    np.testing.assert_array_equal(encode_known(encoder, [*texts, "w5"])[:4], expected)
    assert encoder.texts == 4


def test_stored_comparisons_without_steps_still_read(healthy: Comparison, tmp_path: Path) -> None:
    old = healthy.as_dict()
    assert Comparison.from_dict(old) == healthy
    del old["steps"]
    assert Comparison.from_dict(old).steps is None
