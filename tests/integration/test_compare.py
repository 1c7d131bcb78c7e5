"""The comparison on the embedded store, in a world where one encoder is better by construction."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from reindex.cli.comparison_table import render_comparison
from reindex.config import EvaluationSettings, GateSettings
from reindex.errors import ComparisonError, MissingExtra, SpaceMismatch
from reindex.evaluation.baselines import bm25_row
from reindex.evaluation.compare import Comparison, Side, compare
from reindex.evaluation.metrics import macro, per_query
from reindex.evaluation.power import Power
from reindex.evaluation.retrieval import open_side
from reindex.evaluation.subset import draw_subset
from reindex.measures import Measure
from reindex.records import Judgements, Query, SearchPlan
from tests.comparison_fixtures import DIM, PREFIX, WordEncoder, World, make_world

NON_INFERIORITY = GateSettings(mode="non-inferiority", margin=0.05)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def live(world: World) -> Side:
    return world.build("v1", WordEncoder(0.0))


@pytest.fixture(scope="module")
def better(world: World) -> Side:
    side = world.build("v2", WordEncoder(1.0))
    return replace(side, fp32=lambda: WordEncoder(1.0, rounded=False))


@pytest.fixture(scope="module")
def slightly(world: World) -> Side:
    return world.build("v3", WordEncoder(0.1))


@pytest.fixture(scope="module")
def result(world: World, live: Side, better: Side) -> Comparison:
    return world.compare(live, better, bm25=True, note="A made-up world.")


def at_ten(*metrics: str) -> list[Measure]:
    return [Measure(metric, 10) for metric in metrics]


# -- verdicts and figures


def test_a_better_candidate_passes(result: Comparison) -> None:
    assert result.verdict == "pass", result.reason
    assert [row.name for row in result.metrics] == [
        "recall@10", "ndcg@10", "mrr@10", "map@10", "hit_rate@10",
    ]  # fmt: skip
    assert result.judged.mean_candidate > 0.95
    assert result.judged.mean_live < 0.5
    assert result.judged.low > 0
    assert result.judged.p_value < 0.01


def test_a_worse_candidate_fails(world: World, live: Side, better: Side) -> None:
    found = world.compare(better, live)
    assert found.verdict == "fail"
    assert found.reason.startswith("Worse")


def test_a_difference_on_few_queries_is_inconclusive(
    world: World, live: Side, slightly: Side
) -> None:
    found = world.compare(live, slightly)
    assert 0 < found.judged.discordant < 20
    assert found.judged.relative > 0.05
    assert found.verdict == "inconclusive"


def test_non_inferiority_is_judged_where_the_gate_asks_for_it(
    world: World, live: Side, better: Side
) -> None:
    assert world.compare(live, better, gate=NON_INFERIORITY).verdict == "pass"
    assert world.compare(better, live, gate=NON_INFERIORITY).verdict == "fail"


def test_the_figures_are_those_of_the_search_that_serves(
    world: World, result: Comparison, better: Side
) -> None:
    plan = SearchPlan(k=10, two_stage=True, oversampling=better.oversampling)
    vectors = better.encoder.encode_queries([query.text for query in world.judgements.queries])
    run = {
        query.id: [str(hit.id) for hit in world.store.search(better.collection, vector, plan)]
        for query, vector in zip(world.judgements.queries, vectors, strict=True)
    }
    expected = per_query(run, world.judgements.qrels, at_ten("recall", "ndcg", "mrr"))
    for metric, values in expected.items():
        kept = {query: pair[1] for query, pair in result.scores[metric].items()}
        assert kept == values
    assert result.candidate_stage.served == macro(expected["recall@10"])


def test_wins_and_losses_keep_the_queries_with_their_text(world: World, result: Comparison) -> None:
    texts = {query.id: query.text for query in world.judgements.queries}
    assert len(result.wins) == 20
    for example in result.wins:
        assert example.text == texts[example.query]
        assert (example.live, example.candidate) == result.scores["recall@10"][example.query]
        assert example.candidate > example.live
    assert result.judged.wins == sum(b > a for a, b in result.scores["recall@10"].values())


def test_unjudged_results_are_counted(result: Comparison) -> None:
    """One relevant document per query: every other one of the ten results is unjudged."""
    assert result.unjudged.of == 1200
    assert result.unjudged.candidate == 1200 - round(result.judged.mean_candidate * 120)


def test_latency_is_of_at_least_fifty_queries(world: World, live: Side, better: Side) -> None:
    few = Judgements(world.judgements.queries[:3], world.judgements.qrels)
    found = world.compare(live, better, judgements=few)
    assert found.queries == 3
    for latency in (found.live_latency, found.candidate_latency):
        assert latency.queries == 50
        assert 0 < latency.p50_ms <= latency.p95_ms
        assert max(latency.encode_p50_ms, latency.search_p50_ms) < latency.p95_ms


def test_same_input_same_figures(
    world: World, live: Side, better: Side, result: Comparison
) -> None:
    again = world.compare(live, better, bm25=True, note="A made-up world.")
    quiet = {
        name: getattr(again, name) for name in ("live_latency", "candidate_latency", "seconds")
    }
    assert replace(result, **quiet) == again


# -- two-stage and exact


def test_a_first_stage_that_is_too_small_shows_as_a_loss(
    world: World, live: Side, better: Side
) -> None:
    found = world.compare(live, replace(better, oversampling=1))
    loss = found.candidate_two_stage_loss
    assert loss is not None
    assert loss > 0.01
    assert loss == pytest.approx(1 - found.candidate_stage.served / found.candidate_stage.exact)
    assert found.judged.mean_candidate == found.candidate_stage.served


def test_a_single_layout_has_no_first_stage_to_lose_by(world: World, live: Side) -> None:
    single = world.build("single", WordEncoder(0.9), layout="single")
    found = world.compare(live, single)
    assert found.candidate_two_stage_loss is None
    assert found.candidate_stage.served == found.candidate_stage.exact


# -- rows beside the comparison


def test_dimension_rows_equal_exact_search_where_the_subset_is_everything(
    world: World, live: Side, better: Side
) -> None:
    found = world.compare(live, better, subset_documents=600)
    assert found.subset is not None
    assert (found.subset.documents, found.subset.queries) == (300, 120)
    full, *smaller = found.subset.dimensions
    assert full.dim == DIM
    assert full.live == pytest.approx(found.live_stage.exact)
    assert full.candidate == pytest.approx(found.candidate_stage.exact)
    assert full.live_kept == full.candidate_kept == 1.0
    assert [row.dim for row in smaller] == [32, PREFIX]
    kept = [row.live_kept for row in smaller]
    assert None not in kept
    assert sorted(kept, reverse=True, key=float) == kept  # type: ignore[arg-type]


def test_a_dimension_that_a_side_lacks_is_left_empty(world: World, live: Side) -> None:
    small = world.build("small", WordEncoder(0.8, dim=32), dims=(32, PREFIX))
    found = world.compare(live, small)
    assert found.subset is not None
    first = found.subset.dimensions[0]
    assert (first.dim, first.candidate, first.candidate_kept) == (DIM, None, None)
    assert found.subset.dimensions[1].candidate_kept == 1.0


def test_fp32_is_measured_on_the_same_subset(world: World, result: Comparison) -> None:
    assert result.subset is not None
    rows = {row.name: row for row in result.subset.precision}
    assert set(rows) == {row.name for row in result.metrics}
    for row in rows.values():
        assert row.change == pytest.approx(row.served / row.fp32 - 1)
        assert abs(row.change) < 0.02
    assert rows["recall@10"].served == result.subset.dimensions[0].candidate


def test_an_fp32_graph_of_another_version_is_refused(
    world: World, live: Side, better: Side
) -> None:
    wrong = replace(better, fp32=lambda: WordEncoder(0.0, rounded=False))
    with pytest.raises(SpaceMismatch, match="another version"):
        world.compare(live, wrong)


def test_the_subset_holds_relevant_documents_and_random_distractors(
    world: World, live: Side, better: Side
) -> None:
    sides = open_side(world.store, live), open_side(world.store, better)
    times_drawn = np.zeros(300)
    for seed in range(40):
        drawn = draw_subset(*sides, world.judgements, limit=100, seed=seed)
        assert len(set(drawn.documents)) == 100
        assert drawn.live.shape == drawn.candidate.shape == (100, DIM)
        assert all(set(drawn.qrels[query.id]) <= set(drawn.documents) for query in drawn.queries)
        assert len(drawn.queries) >= 50
        times_drawn[[int(document) for document in drawn.documents]] += 1
    unasked = times_drawn[120:]  # documents of no query come as distractors alone: 8 of 40 times
    assert unasked.mean() == pytest.approx(8, abs=1.5)
    assert unasked[:60].mean() == pytest.approx(unasked[-60:].mean(), abs=2)


def test_bm25_row(world: World, result: Comparison) -> None:
    (row,) = result.baselines
    assert row.name == "BM25"
    assert (
        0.8 < row.means["recall@10"] <= 1.0
    )  # each query has one exact word, which four documents share
    assert row.means["mrr@10"] < result.row("mrr").mean_candidate


def test_bm25_finds_words_and_nothing_else() -> None:
    queries = [Query("known", "sort"), Query("unknown", "zebra"), Query("stop words", "of the")]
    qrels = {query.id: {"b": 1} for query in queries}
    measures = at_ten("recall", "mrr")
    row = bm25_row({"a": "flatten list", "b": "sort list"}, queries, qrels, measures)
    assert row.means == {"recall@10": pytest.approx(1 / 3), "mrr@10": pytest.approx(1 / 3)}
    assert bm25_row({"a": "the"}, queries, qrels, measures).means["recall@10"] == 0.0


def test_bm25_without_its_package_names_the_extra(
    world: World, live: Side, better: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MissingExtra, match=r"reindex\[train\]"):
        world.compare(live, better, bm25=True)


def test_rows_that_need_texts_are_left_out_without_documents(
    world: World, live: Side, better: Side, result: Comparison
) -> None:
    settings = EvaluationSettings(resamples=200, subset_documents=100, bm25=True)
    found = compare(world.store, live, better, world.judgements, settings, GateSettings())
    assert found.baselines == ()
    assert found.subset is not None
    assert found.subset.precision == ()
    assert any("texts were not given" in warning for warning in found.warnings)
    assert found.judged_set == result.judged_set


def test_other_wordings_are_rows_and_not_judged(
    world: World, live: Side, better: Side, tmp_path: Path
) -> None:
    words = [query.text.split() for query in world.judgements.queries]
    write_queries(tmp_path / "masked.jsonl", [" ".join(bag[1:]) for bag in words])
    found = world.compare(live, better, root=tmp_path, variants={"masked": Path("masked.jsonl")})
    (row,) = found.variants
    assert (row.label, row.queries) == ("masked", 120)
    masked = {item.name: item.difference for item in row.metrics}["recall@10"]
    assert masked.mean_live < 0.2 < masked.mean_candidate < found.judged.mean_candidate


def test_a_variant_of_other_queries_is_an_error(
    world: World, live: Side, better: Side, tmp_path: Path
) -> None:
    write_queries(tmp_path / "other.jsonl", ["w1"], prefix="x")
    with pytest.raises(ComparisonError, match=r"variants\.other.*'q0'"):
        world.compare(live, better, root=tmp_path, variants={"other": Path("other.jsonl")})


def write_queries(path: Path, texts: list[str], prefix: str = "q") -> None:
    rows = (json.dumps({"_id": f"{prefix}{i}", "text": text}) for i, text in enumerate(texts))
    path.write_text("\n".join(rows) + "\n", "utf-8")


# -- the result


def test_json_round_trip_is_exact(result: Comparison) -> None:
    text = json.dumps(result.as_dict(), allow_nan=False)
    assert Comparison.from_dict(json.loads(text)) == result


def test_reads_back_without_scores_and_with_keys_of_a_newer_release(result: Comparison) -> None:
    raw = json.loads(json.dumps(result.as_dict()))
    del raw["scores"]
    raw["invented_later"] = 1
    read = Comparison.from_dict(raw)
    assert read.scores == {}
    assert read.metrics == result.metrics


def test_reads_what_was_stored_before_metrics_had_their_cut_off(result: Comparison) -> None:
    raw = json.loads(json.dumps(result.as_dict()))
    bare: Callable[[str], str] = lambda name: name.removesuffix("@10")  # noqa: E731
    raw["metric"] = bare(raw["metric"])
    for row in [*raw["metrics"], *raw["subset"]["precision"]]:
        row["name"] = bare(row["name"])
    raw["scores"] = {bare(name): values for name, values in raw["scores"].items()}
    means = raw["baselines"][0].pop("means")
    raw["baselines"][0] |= {bare(name): mean for name, mean in means.items()}
    kept = {name: mean for name, mean in means.items() if bare(name) in ("recall", "ndcg", "mrr")}
    read = Comparison.from_dict(raw)
    assert read == replace(result, baselines=(replace(result.baselines[0], means=kept),))
    assert read.row("recall") == read.judged == result.judged


def test_the_judged_set_is_known_by_its_content(
    world: World, live: Side, better: Side, result: Comparison
) -> None:
    queries = world.judgements.queries
    turned = Judgements(queries[::-1], dict(sorted(world.judgements.qrels.items(), reverse=True)))
    assert world.compare(live, better, judgements=turned).judged_set == result.judged_set
    fewer = Judgements(queries[1:], world.judgements.qrels)
    assert world.compare(live, better, judgements=fewer).judged_set != result.judged_set


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_and_says_the_verdict_in_words(result: Comparison, width: int) -> None:
    out = io.StringIO()
    row = replace(result.metrics[0], power=Power(0.1, 0.28, 0.3, 40, 1234))
    shown = replace(result, metrics=(row, *result.metrics[1:]), warnings=("Something is odd.",))
    render_comparison(shown, Console(file=out, width=width))
    text = out.getvalue()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    flat = " ".join(text.split())
    for part in (
        "live v1 → candidate v2", "recall@10 *", "nDCG@10", "MRR@10", "95 % interval", "fp32",
        "What these queries can show", "BM25", "PASS recall@10: Better", "! Something is odd.",
        "Note: A made-up world.",
        f"{result.judged.mean_live:.3f}", f"{result.judged.mean_candidate:.3f}",
    ):  # fmt: skip
        assert part in flat, part
