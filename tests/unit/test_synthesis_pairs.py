"""Passages are chosen, pairs are made of them without a model, and the doubtful ones dropped."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from reindex.config.synthesis import SynthesisSettings
from reindex.corpus.origins import check_ours, origin_file, origin_of, write_rows
from reindex.errors import BudgetSpent, ConfigError, DataError
from reindex.records import Document, query_hash
from reindex.synthesis.budget import Purse
from reindex.synthesis.near import NearTexts
from reindex.synthesis.passages import Passages, choose
from reindex.synthesis.plainly import cloze_pairs, title_pairs
from reindex.synthesis.records import MadePair, Passage, Tally
from reindex.synthesis.replies import Tokens
from reindex.synthesis.roundtrip import round_trip
from reindex.synthesis.sifting import sift, without_judged
from reindex.synthesis.texts import first_words, sentences, word_count

DICE = random.Random(7)
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "r", "s", "lk")]


def prose(count: int = 30) -> str:
    return " ".join(DICE.choices(WORDS, k=count)).capitalize() + "."


def document(id: int, text: str, **payload: Any) -> Document:
    return Document(f"d{id}", text, {"text": text, **payload})


def chosen(documents: list[Document], limit: int | None = None, **changes: Any) -> Passages:
    settings = SynthesisSettings(**changes)
    return choose(documents, settings, limit, text_of=lambda payload: payload["text"])


def test_short_documents_and_near_duplicates_are_no_passages() -> None:
    text = prose(40)
    documents = [document(0, text), document(1, "Too short."), document(2, text + " indeed")]
    found = chosen([*documents, document(3, prose())])
    assert (found.read, dict(found.dropped)) == (4, {"too short": 1, "near-duplicates": 1})
    assert len(found.chosen) == 2


def test_a_sample_depends_on_seed_and_ids_alone_and_grows() -> None:
    documents = [document(at, prose()) for at in range(60)]
    ids = [item.document for item in chosen(documents, 10).chosen]
    assert len(ids) == 10
    assert [item.document for item in chosen(documents[::-1], 10).chosen] == ids
    assert [item.document for item in chosen(documents, 25).chosen][:10] == ids
    assert [item.document for item in chosen(documents, 10, seed=1).chosen] != ids


def test_strata_have_equal_shares() -> None:
    documents = [document(at, prose(), meta={"kind": "a"}) for at in range(50)]
    documents += [document(at, prose(), meta={"kind": "b"}) for at in range(50, 53)]
    kinds = {item.id: item.payload["meta"]["kind"] for item in documents}
    found = chosen(documents, 6, stratify="meta.kind").chosen
    assert [kinds[item.document] for item in found].count("b") == 3


def test_nothing_left_is_said_with_the_reason() -> None:
    with pytest.raises(DataError, match=r"1 documents were read \(1 too short\).*min_words"):
        chosen([document(0, "short")])


def test_near_texts_finds_what_comparing_all_with_all_finds() -> None:
    texts: list[str] = []
    for _ in range(150):
        words = DICE.choices(WORDS, k=DICE.choice([3, 8, 20, 60]))
        texts.append(" ".join(words))
        swapped = [*words[1:], DICE.choice(WORDS)]
        texts.append(" ".join(swapped))
    near, kept = NearTexts(), list[set[str]]()
    for text in texts:
        words_of = set(text.split())
        expected = not any(len(words_of & other) / len(words_of | other) >= 0.9 for other in kept)
        assert near.add(text) == expected, text
        if expected:
            kept.append(words_of)
    assert 20 < len(kept) < len(texts)


# -- words and sentences


def test_words_in_scripts_without_spaces() -> None:
    assert word_count("向量数据库 uses 3 词") == 8
    assert first_words("向量数据库很快", 5) == "向量数据库"
    assert first_words("one, two  three", 2) == "one, two"
    assert sentences("这是第一句。这是第二句！") == ["这是第一句。", "这是第二句！"]


def test_sentences() -> None:
    text = 'It costs 3.5 dollars. "Really?" Yes!\n\nA new part e.g. this one. 2 more'
    assert sentences(text) == [
        "It costs 3.5 dollars.", '"Really?', "Yes!", "A new part e.g. this one.", "2 more",
    ]  # fmt: skip


# -- titles and headings


def titles(*passages: tuple[str, str]) -> list[tuple[str, str]]:
    made = [Passage(f"d{at}", text, text, title) for at, (title, text) in enumerate(passages)]
    return [(pair.query, pair.positive) for pair in title_pairs(made, Tally())]


def test_a_title_asks_for_the_text_without_it() -> None:
    assert titles(("Alias flips", "Alias flips\nAre atomic.")) == [("Alias flips", "Are atomic.")]
    assert titles(("Alias flips", "Are atomic.")) == [("Alias flips", "Are atomic.")]
    assert titles(("", "No title here.")) == []
    assert titles(("Word", "A single word says too little.")) == []


def test_titles_that_many_have_are_left_out() -> None:
    tally = Tally()
    passages = [Passage(f"d{at}", prose(), "", "General introduction") for at in range(4)]
    assert list(title_pairs(passages, tally)) == []
    assert tally.dropped == {"common titles": 4}


def test_headings_of_markdown() -> None:
    body, other = prose(15), prose(15)
    text = (
        f"# Guide\n\nshort\n\n## **Install** it ##\n{body}\n```\n# no heading\n```\n"
        f"### On [Windows](x.md)\n{other}\n## Empty\n"
    )
    assert titles(("Guide", text)) == [
        ("Guide: Install it", f"{body}\n```\n# no heading\n```"),
        ("Install it: On Windows", other),
    ]


# -- inverse cloze


def cloze(texts: list[str], keep: float = 0.0, seed: int = 1, per: int = 1) -> list[MadePair]:
    passages = [Passage(f"d{at}", text, text) for at, text in enumerate(texts)]
    return list(cloze_pairs(passages, per_passage=per, keep_sentence=keep, seed=seed))


def test_a_sentence_asks_for_the_rest() -> None:
    parts = [prose(8) for _ in range(4)]
    (pair,) = cloze([" ".join(parts)])
    assert pair.query in parts
    assert pair.positive == " ".join(part for part in parts if part != pair.query)


def test_a_share_keeps_its_sentence() -> None:
    texts = [" ".join(prose(8) for _ in range(3)) for _ in range(300)]
    pairs = cloze(texts, keep=0.1)
    kept = sum(pair.query in pair.positive for pair in pairs)
    assert 15 <= kept <= 50  # 30 expected, sigma 5.2
    assert pairs == cloze(texts, keep=0.1)
    assert pairs != cloze(texts, keep=0.1, seed=2)


def test_sentences_that_several_passages_have_ask_for_none() -> None:
    common = "See your doctor for more about this."
    texts = [f"{prose(8)} {common}" for _ in range(5)]
    pairs = cloze(texts, per=2)
    assert len(pairs) == 5
    assert all(pair.query != common for pair in pairs)
    assert cloze(["One sentence alone is no passage at all."]) == []


# -- what is dropped


def test_sifting_says_what_it_dropped() -> None:
    tally = Tally()
    queries = [
        "how to flip an alias", "How to  flip an alias", "an alias: how to flip?",
        "what does the passage say of leases", "its text", "the text of a lease",
    ]  # fmt: skip
    kept = sift((MadePair(query, "Its text", "d1") for query in queries), tally)
    assert [pair.query for pair in kept] == ["how to flip an alias"]
    assert tally.total == 6
    assert tally.dropped == {
        "duplicates": 1, "near-duplicates": 1, "speaks of the passage": 2, "is the passage": 1,
    }  # fmt: skip


def test_judged_queries_never_come_back() -> None:
    pairs = [MadePair(query, "text", "d1") for query in ("one two three", "alpha beta", "gamma")]
    tally = Tally()
    kept = without_judged(pairs, {query_hash("Gamma")}, {"three, two, one?"}, tally)
    assert [pair.query for pair in kept] == ["alpha beta"]
    assert tally.dropped == {"like judged queries": 2}


def test_the_round_trip_keeps_what_is_found() -> None:
    texts = {"d1": "same", "d2": "same", "d3": "other"}
    pairs = [MadePair("a", "same", "d1"), MadePair("b", "other", "d3"), MadePair("c", "x", "d9")]
    searches = {
        "bm25": lambda queries: [["d2"], ["d1", "d3"], ["d9"]],
        "v1": lambda queries: [["d3"], ["d3"], ["d1", "d9"]],
    }
    tally = Tally()
    kept, report = round_trip(pairs, texts, searches, "any", 1, tally)
    assert [pair.query for pair in kept] == ["a", "b", "c"]
    kept, report = round_trip(pairs, texts, searches, "all", 2, tally)
    assert [pair.query for pair in kept] == ["b", "c"]
    assert (report.found, report.share) == ({"bm25": 3, "v1": 2}, 2 / 3)
    assert tally.dropped == {"passage not found": 1}


# -- cost


def test_the_purse_reserves_what_is_under_way() -> None:
    prices = {"price_in": 0.0, "price_out": 1000.0, "max_tokens": 1000}  # a request: at most 1
    purse = Purse(SynthesisSettings(max_cost=2.5, **prices), spent=0.4)
    first, _ = purse.reserve("a"), purse.reserve("b")
    with pytest.raises(BudgetSpent, match=r"0\.4 of 2\.5 are spent"):
        purse.reserve("c")
    purse.pay(Tokens(10, 100))
    purse.release(first)
    assert purse.spent == pytest.approx(0.5)
    purse.reserve("c")


def test_a_cap_needs_a_price() -> None:
    with pytest.raises(ConfigError, match="price_in"):
        Purse(SynthesisSettings(max_cost=1.0))


# -- the file and its origin


def test_a_file_that_somebody_changed_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    check_ours(file)
    write_rows(file, [{"query": "a", "positive": "b"}], {"from": "titles"})
    told = origin_of(file)
    assert told is not None
    assert told["from"] == "titles"
    check_ours(file)
    old = file.read_bytes()
    write_rows(file, [{"query": "ä", "positive": "\ud800"}], {"from": "cloze"})
    check_ours(file)
    file.write_bytes(old)  # as a kill between the two files leaves it
    check_ours(file)
    assert origin_of(file) is None
    file.write_text("mine", "utf-8")
    with pytest.raises(DataError, match="--output"):
        check_ours(file)
    origin_file(file).write_text("[]", "utf-8")
    assert origin_of(file) is None
