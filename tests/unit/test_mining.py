"""Mining: who is a negative, who is not, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reindex.config.training_negatives import NegativeSettings
from reindex.errors import DataError
from reindex.mining.candidates import NONE
from reindex.mining.lexical import bm25_candidates
from reindex.mining.miner import Means, Request, mine
from reindex.mining.nearest import nearest_candidates
from reindex.mining.results import Mined
from reindex.mining.snapshot import Snapshot, text_key
from reindex.protocols import no_progress
from reindex.records import Document, TrainingExample, query_hash
from tests.word_encoder import WordEncoder

pytest.importorskip("bm25s")

FRUITS = ["apple", "pear", "plum", "cherry", "peach", "grape", "melon", "quince"]
TEXTS = [
    f"{fruit} {part} grows on the {fruit} tree in the {place}"
    for fruit in FRUITS
    for part, place in (("fruit", "orchard"), ("leaf", "garden"), ("root", "ground"))
]
PAIRS = [TrainingExample(f"where does the {fruit} fruit grow", TEXTS[3 * at])
         for at, fruit in enumerate(FRUITS)]  # fmt: skip


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    return corpus(tmp_path, TEXTS)


def corpus(folder: Path, texts: Sequence[str]) -> Snapshot:
    documents = (Document(at, text, {}) for at, text in enumerate(texts))
    return Snapshot.write(documents, folder / "texts")


def mined(snapshot: Snapshot, pairs: Sequence[TrainingExample] = PAIRS, **changes: Any) -> Mined:
    positives = changes.pop("positives", {})
    encoder = changes.pop("encoder", WordEncoder(64))
    settings = NegativeSettings(**{"relative_margin": None, **changes})
    return mine(Request(pairs, settings, 13, positives), snapshot, Means(encoder), no_progress)


def test_a_snapshot_keeps_each_text_once_and_finds_it_by_its_words(tmp_path: Path) -> None:
    found = corpus(tmp_path, ["Straße", "two  words", "Two Words", " ", "three"])
    assert len(found) == 3
    assert found.texts([2, 0]) == ["three", "Straße"]
    assert [list(texts) for _, texts in found.blocks(2)] == [["Straße", "two  words"], ["three"]]
    assert list(found.find([text_key("TWO words"), text_key("four")])) == [1, -1]
    assert found.digest != corpus(tmp_path, ["Straße", "two  words"]).digest


def test_an_empty_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="documents to take negatives from"):
        corpus(tmp_path, ["", " "])


def test_bm25_in_parts_finds_what_one_index_finds_and_skips_what_shares_no_word(
    snapshot: Snapshot,
) -> None:
    queries = ["plum leaf", "nothing of it", "QUINCE root!"]
    whole = bm25_candidates(queries, snapshot, 4, no_progress)
    assert snapshot.texts(whole.numbers[0, :1]) == [TEXTS[7]]
    assert snapshot.texts(whole.numbers[2, :1]) == [TEXTS[23]]
    assert (whole.numbers[1] == NONE).all()
    parts = bm25_candidates(queries, snapshot, 4, no_progress, part=10)
    assert (parts.numbers[:, 0] == whole.numbers[:, 0]).all()
    assert set(parts.numbers[0][:3]) <= {6, 7, 8, *range(1, 24, 3)}


def test_bm25_scores_are_those_of_an_index_of_all_words(snapshot: Snapshot) -> None:
    import bm25s

    query = ["cherry", "leaf"]
    plain = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    words = bm25s.tokenize(TEXTS, stopwords="en", return_ids=False, show_progress=False)
    plain.index(words, show_progress=False)
    expected = np.sort(plain.get_scores(query))[::-1][:5]
    found = bm25_candidates([" ".join(query)], snapshot, 5, no_progress)
    np.testing.assert_allclose(found.scores[0], expected, rtol=1e-5)


def test_the_nearest_are_the_nearest_whatever_the_block(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = WordEncoder(64)
    queries = encoder.encode_queries([pair.anchor for pair in PAIRS])
    cosines = queries @ encoder.encode_documents(TEXTS).T
    expected = np.sort(cosines, axis=1)[:, ::-1][:, :6]
    monkeypatch.setattr("reindex.mining.nearest.BLOCK", 5)
    found = nearest_candidates(encoder, queries, snapshot, 6, no_progress)
    np.testing.assert_allclose(found.scores, expected, rtol=1e-5)
    np.testing.assert_allclose(
        np.take_along_axis(cosines, found.numbers, axis=1), expected, rtol=1e-5
    )


@pytest.mark.parametrize("sources", ["bm25", "dense", "random", "mixed", "bm25,random"])
def test_every_row_gets_as_many_negatives_and_none_is_its_own_positive(
    snapshot: Snapshot, sources: str
) -> None:
    done = mined(snapshot, sources=sources, number=3)
    assert [row.anchor for row in done.rows] == [pair.anchor for pair in PAIRS]
    for row in done.rows:
        assert len(set(row.negatives)) == 3
        assert row.positive not in row.negatives
    assert sum(done.report.taken.values()) == 3 * len(PAIRS)


def test_sources_take_turns(snapshot: Snapshot) -> None:
    taken = mined(snapshot, sources="mixed", number=4).report.taken
    assert taken["dense"] >= 12
    assert taken["bm25"] >= 12


def test_hard_sources_find_what_is_near(snapshot: Snapshot) -> None:
    for row, fruit in zip(mined(snapshot, sources="bm25").rows, FRUITS, strict=True):
        assert fruit in row.negatives[0]


def test_all_positives_of_a_query_are_protected_under_any_spelling(tmp_path: Path) -> None:
    answers = ["The plum grows on plum trees", "a plum is what plum trees bear"]
    snapshot = corpus(tmp_path, [*TEXTS, answers[0].upper(), answers[1]])
    pairs = [TrainingExample("plum trees?", answers[0]), TrainingExample("Plum  trees?", TEXTS[6])]
    known = {query_hash("plum trees?"): [answers[1]]}
    done = mined(snapshot, pairs, sources="bm25", number=3, positives=known)
    taken = {query_hash(text) for row in done.rows for text in row.negatives}
    assert taken.isdisjoint(map(query_hash, [*answers, TEXTS[6]]))
    assert done.report.refused["bm25"]["positive"] >= 4


def test_near_duplicates_of_a_positive_are_found_and_dropped(tmp_path: Path) -> None:
    words = [f"word{at}" for at in range(40)]
    positive = " ".join(words)
    twin = " ".join(reversed([*words[:-1], "another"]))
    snapshot = corpus(tmp_path, [*TEXTS, positive, twin])
    done = mined(snapshot, [TrainingExample("word1 word2 word3", positive)], sources="bm25")
    assert done.report.refused["bm25"] == {"positive": 1, "near-duplicate": 1}
    assert twin not in done.rows[0].negatives
    assert done.report.suspects[0].other.text == twin


@pytest.mark.parametrize(
    ("margin", "reason"),
    [
        ({"relative_margin": 0.05}, "relative margin"),
        ({"absolute_margin": 0.02}, "absolute margin"),
        ({"max_score": 0.7}, "max score"),
    ],
)
def test_a_planted_false_negative_breaks_the_margin(
    tmp_path: Path, margin: dict[str, float], reason: str
) -> None:
    query = "how do plums grow in a garden"
    planted = f"{query} so they say everywhere"  # answers better than what is judged
    pairs = [TrainingExample(query, "plums grow slowly in any garden that has some sun")]
    snapshot = corpus(tmp_path, [*TEXTS, planted, pairs[0].positive])
    free = mined(snapshot, pairs, sources="dense")
    assert free.rows[0].negatives == (planted,)
    done = mined(snapshot, pairs, sources="dense,bm25", **margin)
    assert planted not in done.rows[0].negatives
    refused = {
        name: count for counts in done.report.refused.values() for name, count in counts.items()
    }
    assert refused[reason] == 1
    assert done.report.suspects[0].reason == reason


def test_a_negative_too_easy_for_min_score_is_refused(snapshot: Snapshot) -> None:
    done = mined(snapshot, sources="random", min_score=0.3, depth=24, when_short="leave-out")
    assert done.report.scores["random"].lowest >= 0.3
    assert done.report.refused["random"]["min score"] > 0


def test_rows_that_come_short_are_filled_or_left_out(tmp_path: Path) -> None:
    snapshot = corpus(tmp_path, [*TEXTS, "unique words alone"])
    pairs = [*PAIRS, TrainingExample("unique", "unique words alone")]
    filled = mined(snapshot, pairs, sources="bm25", number=2)
    assert (filled.report.rows, filled.report.left_out, filled.report.filled) == (9, 0, 2)
    assert filled.report.taken["fill"] == 2
    left = mined(snapshot, pairs, sources="bm25", number=2, when_short="leave-out")
    assert (left.report.rows, left.report.left_out, left.report.filled) == (8, 1, 0)
    with pytest.raises(DataError, match=r"None of 1 pairs has 2 negatives: 1 of bm25 refused"):
        mined(snapshot, pairs[-1:], sources="bm25", number=2, when_short="leave-out")


def test_skipped_ranks_are_no_negatives(snapshot: Snapshot) -> None:
    ranks = mined(snapshot, sources="dense", skip=3).report.ranks["dense"]
    assert ranks.lowest == 4


def test_random_sampling_takes_others_and_the_same_ones_every_time(snapshot: Snapshot) -> None:
    top = mined(snapshot, sources="dense", depth=20)
    drawn = [mined(snapshot, sources="dense", depth=20, sampling="random") for _ in range(2)]
    assert drawn[0].rows == drawn[1].rows != top.rows
    assert drawn[0].report.ranks["dense"].highest > top.report.ranks["dense"].highest


def test_negatives_that_rows_bring_come_first(snapshot: Snapshot) -> None:
    own = ("my own negative", PAIRS[0].positive, "and another")
    pairs = [TrainingExample(PAIRS[0].anchor, PAIRS[0].positive, own), *PAIRS[1:]]
    rows = mined(snapshot, pairs, sources="bm25", number=3).rows
    assert rows[0].negatives[:2] == (own[0], own[2])
    assert {len(row.negatives) for row in rows} == {3}


def test_candidates_are_judged_no_further_than_needed(snapshot: Snapshot) -> None:
    encoder = WordEncoder(64)
    mined(snapshot, PAIRS[:1], sources="bm25", relative_margin=0.0, encoder=encoder, depth=24)
    assert encoder.texts <= 1 + 8  # the positive, and a wave


def test_without_margins_nothing_is_embedded(snapshot: Snapshot) -> None:
    done = mined(snapshot, sources="bm25,random", encoder=None)
    assert done.report.positives is None
    assert not done.report.scores
