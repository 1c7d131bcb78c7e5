"""What a comparison refuses, or warns of: wrong pairs, no answers, ids that do not match."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reindex.errors import CollectionNotFound, ComparisonError, SpaceMismatch
from reindex.evaluation.compare import Side
from reindex.records import Document, Judgements, Query
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


def test_an_encoder_never_searches_another_versions_collection(
    world: World, live: Side, better: Side
) -> None:
    crossed = replace(better, encoder=live.encoder)
    for pair in ((live, crossed), (crossed, live)):
        with pytest.raises(SpaceMismatch, match=r"space words-0\.0"):
            world.compare(*pair)


def test_one_collection_on_both_sides_is_an_error(world: World, live: Side) -> None:
    with pytest.raises(ComparisonError, match="same collection"):
        world.compare(live, replace(live, version="v9"))


def test_an_unknown_or_empty_collection_is_an_error(world: World, live: Side) -> None:
    with pytest.raises(CollectionNotFound):
        world.compare(live, replace(live, collection="world--gone"))
    empty = world.build("empty", WordEncoder(0.5), documents=())
    with pytest.raises(ComparisonError, match="reindex build empty"):
        world.compare(live, empty)


@pytest.mark.parametrize("qrels", [{}, {"q0": {"0": 0}}, {"other": {"0": 1}}])
def test_judgements_without_an_answerable_query_are_an_error(
    world: World, live: Side, better: Side, qrels: dict[str, dict[str, int]]
) -> None:
    with pytest.raises(ComparisonError, match="has a relevant document"):
        world.compare(live, better, judgements=Judgements(world.judgements.queries, qrels))


def test_ids_that_do_not_match_are_an_error_that_shows_both(
    world: World, live: Side, better: Side
) -> None:
    foreign = Judgements((Query("q0", "w1"),), {"q0": {"doc-7": 1, "doc-8": 1}})
    with pytest.raises(ComparisonError, match=r"'doc-7'.*'0'"):
        world.compare(live, better, judgements=foreign)


def test_missing_documents_are_counted_and_warned_about(world: World, live: Side) -> None:
    partly = world.build("partly", WordEncoder(0.7), documents=world.documents[30:])
    found = world.compare(live, partly)
    assert (found.missing.live, found.missing.candidate, found.missing.of) == (0, 30, 120)
    assert any("30 of 120 relevant documents are not in" in line for line in found.warnings)
    assert any("300 points" in line and "270" in line for line in found.warnings)


def test_ids_may_be_text_that_looks_like_anything(tmp_path: Path) -> None:
    """Judgements write ids as text: '7' may be the number or the text, '007' only the text."""
    small = make_world(tmp_path, documents=60, queries=30)
    names: list[int | str] = [7, "8", "007", "a/b", "8c5e2f4e-5f0a-4e0b-9d5b-3c1f6a2f7d10"]
    for number, name in enumerate(names):
        small.documents[number] = Document(name, small.documents[number].text, {})
    small.documents[7] = Document("seven", small.documents[7].text, {})
    small.documents[8] = Document("eight", small.documents[8].text, {})
    qrels = {f"q{n}": {str(small.documents[n].id): 1} for n in range(30)}
    judgements = Judgements(small.judgements.queries, qrels)
    sides = (small.build("v1", WordEncoder(0.0)), small.build("v2", WordEncoder(1.0)))
    found = small.compare(*sides, judgements=judgements)
    assert found.missing.candidate == 0
    assert all(found.scores["recall@10"][f"q{n}"][1] == 1.0 for n in range(9))
