"""Pools of results for people: what is chosen, that it is blind, and that no answer is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from reindex.cli import main
from reindex.cli.judge_session import Session
from reindex.corpus.excerpts import excerpt
from reindex.corpus.frameworks import StoredText
from reindex.corpus.judgements import read_qrels, read_queries, read_query_texts
from reindex.corpus.pools import (
    Answers,
    PooledDocument,
    PooledQuery,
    answers_path,
    pool_judgements,
    read_pool,
    with_pools,
    write_pool,
)
from reindex.errors import DataError
from reindex.evaluation.pooling import pool
from reindex.evaluation.results_queries import QueryResults, Results
from reindex.records import Judgements, Query


def found(query: str, live: str, candidate: str, *, group: int = 0, **more: int) -> QueryResults:
    """Results named by letters, best first; ``more`` are grades."""
    ours, theirs = ({d: 1 - i / 10 for i, d in enumerate(side)} for side in (live, candidate))
    return QueryResults(query, f"text of {query}", group, ours, theirs, dict(more))


def results(*queries: QueryResults) -> Results:
    return Results(3, queries)


# -- what is pooled


def test_only_differing_queries_are_pooled_the_most_different_first() -> None:
    made = results(
        found("same", "abc", "abc", group=0),
        found("turned", "abc", "bac", group=1),
        found("other", "abc", "xyz", group=2),
    )
    chosen = pool(made, queries=9, depth=3)
    assert [item.query.query for item in chosen.queries] == ["other", "turned"]
    assert (chosen.differing, chosen.of) == (2, 3)
    everything = pool(made, queries=9, depth=3, everything=True)
    assert [item.query.query for item in everything.queries] == ["other", "turned", "same"]


def test_one_query_of_each_group_comes_before_the_second_of_any() -> None:
    made = results(
        found("a1", "abc", "xyz", group=7),
        found("a2", "abc", "xyw", group=7),
        found("b1", "abc", "bac", group=8),
    )
    assert [q.query.query for q in pool(made, queries=2, depth=3).queries] == ["a1", "b1"]


def test_judged_documents_are_not_asked_for_again_and_depth_is_of_each_side() -> None:
    made = results(found("q", "abc", "xbc", a=1))
    assert set(pool(made, queries=1, depth=1).queries[0].documents) == {"x"}
    assert set(pool(made, queries=1, depth=3).queries[0].documents) == {"b", "c", "x"}
    assert pool(results(found("q", "a", "b", a=1, b=0)), queries=1, depth=3).queries == ()


def test_the_order_of_documents_tells_neither_side_nor_rank() -> None:
    """Swapping the sides changes nothing, and rank one is first about as often as any other."""
    firsts = []
    for number in range(300):
        one, other = found(f"q{number}", "abc", "xyz"), found(f"q{number}", "xyz", "abc")
        mine, theirs = (
            pool(results(item), queries=1, depth=3).queries[0].documents for item in (one, other)
        )
        assert mine == theirs
        firsts.append(mine[0])
    assert all(30 <= firsts.count(document) <= 75 for document in "abcxyz")


# -- the file


POOL = (
    PooledQuery(
        "q1", "first?", (PooledDocument("d1", "One", "text one"), PooledDocument("d2", "", "two")),
        judged={"d9": 1}, note="2 of 5",
    ),
    PooledQuery("q2", "second?", (PooledDocument("d1", "One", "text one"),)),
)  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pool.jsonl"
    write_pool(path, POOL)
    return path


def test_a_pool_reads_as_it_was_written_and_is_a_beir_queries_file(file: Path) -> None:
    assert tuple(read_pool(file)) == POOL
    assert [(query.id, query.text) for query in read_queries(file)] == [
        ("q1", "first?"), ("q2", "second?"),
    ]  # fmt: skip


def test_a_pool_that_may_be_half_judged_is_not_overwritten(file: Path) -> None:
    with pytest.raises(DataError, match="is there already"):
        write_pool(file, POOL)
    answers_path(file).write_text("x")
    file.unlink()
    with pytest.raises(DataError, match=r"pool\.qrels\.tsv is there already"):
        write_pool(file, POOL)


@pytest.mark.parametrize(
    "line", ['{"_id": "a", "text": "t"}', '{"_id": "a", "text": "t", "documents": [1]}', "[]"]
)
def test_what_is_no_pool_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text(line + "\n")
    with pytest.raises(DataError, match=r"bad\.jsonl:1"):
        read_pool(bad)


def test_judgements_of_a_pool_are_those_before_by_hand_and_given(file: Path) -> None:
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[0]["documents"][1]["grade"] = 2
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with Answers(file) as answers:
        answers.give("q2", "d1", 1)
    assert pool_judgements(file).qrels == {"q1": {"d9": 1, "d2": 2}, "q2": {"d1": 1}}


def test_pools_are_added_to_what_is_judged_and_win(file: Path) -> None:
    base = Judgements((Query("q2", "second?"), Query("q7", "more")), {"q2": {"d1": 0, "d5": 1},
                                                                     "q7": {"d7": 1}})  # fmt: skip
    with Answers(file) as answers:
        answers.give("q2", "d1", 2)
    merged = with_pools(base, [file])
    assert merged is not None
    assert merged.qrels == {"q1": {"d9": 1}, "q2": {"d1": 2, "d5": 1}, "q7": {"d7": 1}}
    assert with_pools(base, []) is base
    other = Judgements((Query("q2", "another text"),), {"q2": {"d1": 1}})
    with pytest.raises(DataError, match="different ids"):
        with_pools(other, [file])


# -- judging


def keys(typed: str) -> Iterator[str]:
    yield from typed
    while True:
        yield ""


def session(file: Path, typed: str, most: int = 2) -> dict[tuple[str, str], int]:
    reader = keys(typed)
    with Answers(file) as answers:
        Session(read_pool(file), answers, most, lambda: next(reader)).run()
        return dict(answers.given)


def test_grades_undo_and_skip(file: Path) -> None:
    given = session(file, "2u1s0")  # d1 of q1: 2, no, 1; d2 skipped; d1 of q2: 0; d2 is left
    assert given == {("q1", "d9"): 1, ("q1", "d1"): 1, ("q2", "d1"): 0}
    assert read_qrels(answers_path(file)) == {"q1": {"d9": 1, "d1": 1}, "q2": {"d1": 0}}


def test_quitting_and_going_on(file: Path) -> None:
    assert len(session(file, "1q")) == 2
    assert session(file, "20")[("q1", "d2")] == 2
    assert session(file, "2") == session(file, "")  # nothing is left to ask


def test_undo_reaches_back_into_the_session_before_but_not_to_what_was_known(file: Path) -> None:
    session(file, "1q")
    given = session(file, "uuu2q")
    assert given == {("q1", "d9"): 1, ("q1", "d1"): 2}


def test_keys_that_mean_nothing_answer_nothing(file: Path) -> None:
    assert session(file, "x79é?q") == {("q1", "d9"): 1}
    assert session(file, "7q", most=9)[("q1", "d1")] == 7


def test_an_answer_is_on_disk_before_the_next_question(file: Path) -> None:
    seen = []
    reader = keys("11")

    def read() -> str:
        seen.append(answers_path(file).read_text().count("\n"))
        return next(reader)

    with Answers(file) as answers:
        Session(read_pool(file), answers, 2, read).run()
    assert seen == [2, 3, 4]  # the header and what was known, then one more each


def test_a_line_that_a_kill_cut_off_is_dropped(file: Path) -> None:
    session(file, "1q")
    with answers_path(file).open("ab") as torn:
        torn.write(b"q1\td2\t")
    assert session(file, "2q") == {("q1", "d9"): 1, ("q1", "d1"): 1, ("q1", "d2"): 2}
    assert read_qrels(answers_path(file))["q1"] == {"d9": 1, "d1": 1, "d2": 2}


def test_control_characters_of_a_document_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    document = PooledDocument("d", "\x1b[2Jtitle", "a\x1b]0;owned\x07b\nnext\x9bline")
    write_pool(path, [PooledQuery("q", "why\x1b[31m?", (document,))])
    shown = CliRunner().invoke(main, ["judge", str(path)], input="1")
    assert shown.exit_code == 0, shown.output
    assert not {"\x1b", "\x07", "\x9b"} & set(shown.output)
    assert "title" in shown.output


def test_the_command_reads_keys_from_a_pipe(file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reindex", "judge", str(file), "--json"], input="2\n1\n",
        capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert (told["judged"], told["left"]) == (3, 1)
    assert "first?" in done.stderr
    assert read_qrels(Path(told["qrels"]))["q1"] == {"d9": 1, "d1": 2, "d2": 1}


# -- what they read


def test_queries_may_be_lines_of_text(tmp_path: Path) -> None:
    lines = tmp_path / "log.txt"
    lines.write_text("reset a password\n\n  two   words \nreset a password\n")
    assert [(q.id, q.text) for q in read_query_texts(lines)] == [
        ("line 1", "reset a password"), ("line 3", "two words"),
    ]  # fmt: skip
    lines.write_text("\n")
    with pytest.raises(DataError, match="empty"):
        read_query_texts(lines)


@pytest.mark.parametrize(
    ("payload", "preset", "expected"),
    [
        ({"title": "T", "text": "T\nbody  text"}, "plain", ("T", "body text")),
        ({"page_content": "body", "metadata": {"title": "T"}}, "langchain", ("T", "body")),
        ({"content": "body", "meta": {"name": "N"}}, "haystack", ("N", "body")),
        ({"title": 3, "other": "only this"}, "plain", ("", "only this")),
        ({}, "plain", ("", "")),
    ],
)
def test_a_title_and_a_text_are_found_in_any_shape(
    payload: dict[str, object], preset: str, expected: tuple[str, str]
) -> None:
    made = excerpt(payload, StoredText(preset))
    assert (made.title, made.text) == expected


def test_excerpts_are_cut_and_whole_texts_are_not() -> None:
    text = "word " * 200
    assert len(excerpt({"text": text}, StoredText("plain")).text) <= 300
    assert excerpt({"text": text}, StoredText("plain"), None).text == text
