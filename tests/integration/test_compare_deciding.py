"""What a comparison says beyond its means: rows, power, unjudged results, several candidates."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from reindex.cli.comparison_table import render_comparison
from reindex.config import GateSettings
from reindex.errors import ComparisonError
from reindex.evaluation.compare import Comparison, Side
from reindex.evaluation.figures import figures
from reindex.evaluation.metrics import macro, per_query
from reindex.evaluation.statistics import Judged
from reindex.evaluation.verdicts import verdict_of
from reindex.measures import Measure
from reindex.records import Judgements, SearchPlan
from tests.comparison_fixtures import WordEncoder, World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def live(world: World) -> Side:
    return world.build("v1", WordEncoder(0.0))


@pytest.fixture(scope="module")
def better(world: World) -> Side:
    return world.build("v2", WordEncoder(1.0))


@pytest.fixture(scope="module")
def slightly(world: World) -> Side:
    return world.build("v3", WordEncoder(0.1))


@pytest.fixture(scope="module")
def result(world: World, live: Side, better: Side) -> Comparison:
    return world.compare(live, better)


def test_rows_are_those_that_the_project_asks_for(world: World, live: Side, better: Side) -> None:
    """A search for 50 as served is another one: its first stage has more to choose from."""
    gate = GateSettings(metric="nDCG@5")
    narrow = replace(better, oversampling=2)
    found = world.compare(live, narrow, gate=gate, metrics=("recall", "recall@50", "hit-rate@1"))
    assert [row.name for row in found.metrics] == [
        "recall@10", "recall@50", "hit_rate@1", "ndcg@5",
    ]  # fmt: skip
    assert (found.metric, found.judged) == ("ndcg@5", found.row("ndcg@5"))
    assert found.row("recall") == found.row("recall@10")
    plan = SearchPlan(k=50, two_stage=True, oversampling=2)
    vectors = narrow.encoder.encode_queries([query.text for query in world.judgements.queries])
    run = {
        query.id: [str(hit.id) for hit in world.store.search(narrow.collection, vector, plan)]
        for query, vector in zip(world.judgements.queries, vectors, strict=True)
    }
    far, near = Measure("recall", 50), Measure("recall", 10)
    scored = per_query(run, world.judgements.qrels, [far, near])
    assert found.row("recall@50").mean_candidate == macro(scored["recall@50"])
    assert found.row("recall@10").mean_candidate == found.candidate_stage.served
    assert found.row("recall@10").mean_candidate < macro(scored["recall@10"])
    with pytest.raises(ComparisonError, match=r"no map@10; it has recall@10"):
        found.row("map")


def test_every_row_has_its_verdict_and_what_it_could_have_shown(
    world: World, live: Side, slightly: Side, result: Comparison
) -> None:
    for row in result.metrics:
        assert row.judged is not None
        assert row.power is not None
        assert (row.judged.verdict, row.power.more_queries) == ("pass", None)
        assert 0 < row.power.detectable < row.difference.relative  # type: ignore[operator]
    judged = result.metric_row("recall").judged
    assert judged is not None
    assert judged.reason == result.reason
    unclear = world.compare(live, slightly).metric_row("recall")
    assert unclear.power is not None
    discordant = unclear.difference.discordant
    assert (unclear.power.more_queries or 0) >= 120 * 20 // discordant - 120
    figure = figures(result)["recall@10.detectable"]
    assert figure.value == result.metric_row("recall").power.detectable  # type: ignore[union-attr]


def test_an_inconclusive_verdict_says_how_many_more_queries(
    world: World, live: Side, slightly: Side
) -> None:
    found = world.compare(live, slightly)
    out = io.StringIO()
    render_comparison(found, Console(file=out, width=80))
    power = found.metric_row("recall").power
    assert power is not None
    said = " ".join(out.getvalue().split())
    assert f"About {power.more_queries:,} more queries" in said
    assert f"±{(power.detectable or 0) * 100:.1f} %" in said


def test_unjudged_results_that_could_reverse_a_verdict_make_it_inconclusive(
    world: World, live: Side, better: Side, result: Comparison
) -> None:
    """One document is judged per query, so nine of ten results are not: nothing could be shown."""
    assert result.bounds is not None
    assert (result.bounds.rule, result.verdict) == ("count", "pass")
    assert 0 < (result.bounds.turning or 0) < 1
    strict = world.compare(live, better, unjudged="bound")
    assert strict.verdict == "inconclusive"
    assert "Unjudged results could reverse this: Better" in strict.reason
    assert verdict_of(strict, GateSettings()) == Judged(strict.verdict, strict.reason)
    assert verdict_of(strict, GateSettings(metric="mrr")).verdict == "pass"  # not bounded
    known = figures(strict)
    assert known["unjudged.against.change"].value < 0 < known["unjudged.in_favour.change"].value
    out = io.StringIO()
    render_comparison(strict, Console(file=out, width=80))
    assert "INCONCLUSIVE recall@10: Unjudged" in " ".join(out.getvalue().split())


def test_where_every_found_document_is_judged_nothing_is_bounded(
    world: World, live: Side, better: Side
) -> None:
    """Judgements that say no, too: pooled from what both found."""
    documents = [str(document.id) for document in world.documents]
    qrels = {
        query: {**dict.fromkeys(documents, 0), **judged}
        for query, judged in world.judgements.qrels.items()
    }
    found = world.compare(live, better, judgements=Judgements(world.judgements.queries, qrels))
    assert (found.bounds, found.verdict, found.unjudged.live) == (None, "pass", 0)
