"""`reindex data synthesize` against an endpoint: caps, kills, refusals; a version at the end."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reindex.cli import main
from reindex.corpus.origins import origin_of
from reindex.datasets.reading import read_examples
from reindex.project import Project, open_project
from tests.openai_server import (
    KEY,
    OpenAIServer,
    Says,
    answers,
    completion,
    error,
    passage_of,
    queries_for,
)
from tests.training_fixtures import tiny_base  # noqa: F401

pytest.importorskip("bm25s")

WORDS = [f"{a}{b}{c}" for a in ("mar", "tel", "vin", "dos", "kul") for b in "aeiou"
         for c in ("ten", "sor", "lim", "gad")]  # fmt: skip
PASSAGES = 12
PRICES = ("--price-in", "1", "--price-out", "100")  # an answer costs 0.0052, at most some 0.0055
CHEAP = (*PRICES, "--max-tokens", "50")


def text(at: int) -> str:
    """Thirty words, in an order that no other document has."""
    return " ".join(
        WORDS[(at * 7 + step * (10 * at + 1)) % len(WORDS)] + str(at) for step in range(30)
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    rows = [{"_id": f"d{at}", "title": f"About {text(at)[:20]}", "text": text(at)}
            for at in range(PASSAGES)]  # fmt: skip
    (data / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Project.init(tmp_path, values={"train": {"max_length": 32}}).close()
    return tmp_path


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def arguments(server: OpenAIServer, *more: str) -> list[str]:
    return ["data", "synthesize", "--base-url", server.url, "--model", "writer", *more]


def run(server: OpenAIServer, *more: str) -> Result:
    return CliRunner().invoke(main, arguments(server, *more))


def made(server: OpenAIServer, *more: str) -> dict[str, Any]:
    result = run(server, *more, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_pairs_that_training_takes(server: OpenAIServer, folder: Path) -> None:
    result = run(server)
    assert result.exit_code == 0, result.output
    assert "Round trip: 100.0% found within 10" in result.output
    assert "Next: reindex train --pairs synthetic-llm.jsonl" in result.output
    rows = [json.loads(line) for line in Path("synthetic-llm.jsonl").read_text().splitlines()]
    assert {row["document_id"] for row in rows} == {f"d{at}" for at in range(PASSAGES)}
    assert {row["made_by"] for row in rows} == {"llm:writer"}
    assert len(rows) == 3 * PASSAGES
    examples = read_examples(Path("synthetic-llm.jsonl"))
    for row, example in zip(rows, examples, strict=True):
        assert (row["query"], row["positive"]) == (example.anchor, example.positive)
        assert example.anchor in queries_for(example.positive)
    told = origin_of(Path("synthetic-llm.jsonl"))
    assert told is not None
    assert (told["model"], told["endpoint"], told["pairs"]) == ("writer", "127.0.0.1", len(rows))
    everything = "".join(
        file.read_bytes().decode("latin-1") for file in folder.rglob("*") if file.is_file()
    )
    assert KEY not in everything + result.output


def test_nothing_is_asked_twice_and_more_passages_ask_for_the_new_ones(
    server: OpenAIServer, folder: Path
) -> None:
    first = made(server, "--max-passages", "5")
    assert (first["answers"]["asked"], len(server.requests)) == (5, 5)
    again = made(server, "--max-passages", "5")
    assert (again["answers"]["asked"], again["pairs"]) == (0, first["pairs"])
    assert made(server)["answers"]["asked"] == PASSAGES - 5
    assert made(server, "--model", "another", "--max-passages", "2")["answers"]["asked"] == 2
    assert set(Counter(server.prompts[:PASSAGES]).values()) == {1}


def test_a_dry_run_asks_nothing(server: OpenAIServer, folder: Path) -> None:
    made(server, "--max-passages", "2", *PRICES)
    result = run(server, "--dry-run", *PRICES)
    assert result.exit_code == 0, result.output
    assert f"{PASSAGES} passages, 2 of them answered already: 10 requests" in result.output
    assert "0.0104 spent already" in result.output  # two answers of 200 and 50 tokens
    assert len(server.requests) == 2
    assert "--price-in" in run(server, "--dry-run").output
    assert run(server, "--dry-run", "--from", "cloze").exit_code == 1


def test_the_cap_holds_over_runs_and_says_how_to_go_on(server: OpenAIServer, folder: Path) -> None:
    found = made(server, *CHEAP, "--max-cost", "0.02", "--concurrency", "2")
    assert found["answers"]["asked"] == 3
    assert found["answers"]["cost"] == pytest.approx(3 * 0.0052)
    assert found["answers"]["left"] == PASSAGES - 3
    assert "synthesis.max_cost" in found["answers"]["stopped"]
    assert len(read_examples(Path("synthetic-llm.jsonl"))) == found["pairs"] > 0
    again = run(server, *CHEAP, "--max-cost", "0.02")
    assert "with a higher limit the same command goes on" in again.output
    assert len(server.requests) == 3
    assert made(server, *CHEAP, "--max-cost", "1")["answers"]["stopped"] == ""
    assert len(server.requests) == PASSAGES
    refused = run(server, "--max-cost", "1")
    assert refused.exit_code == 1
    assert "needs prices" in refused.output


def test_a_limit_of_requests(server: OpenAIServer, folder: Path) -> None:
    assert made(server, "--max-requests", "4")["answers"]["left"] == PASSAGES - 4
    assert made(server, "--max-requests", "4")["answers"]["answered"] == 8


def test_a_wrong_key_ends_it_at_once(
    server: OpenAIServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-0ne")
    result = run(server, "--concurrency", "2")
    assert result.exit_code == 1
    assert "see the environment variable OPENAI_API_KEY" in result.output
    assert "sk-wrong-0ne" not in result.output
    assert len(server.requests) <= 2
    assert not Path("synthetic-llm.jsonl").exists()


def test_a_dead_endpoint_ends_it_and_what_was_answered_is_kept(
    server: OpenAIServer, folder: Path
) -> None:
    server.script = lambda number, prompt: (
        answers(number, prompt) if number < 3 else error(500, "down")
    )
    result = run(server, "--concurrency", "1", "--attempts", "1")
    assert result.exit_code == 1
    assert "8 requests failed one after another" in result.output
    assert "(3 of this run)" in result.output
    server.script = answers
    assert made(server)["answers"]["asked"] == PASSAGES - 3


def test_what_fails_for_single_passages_is_told(server: OpenAIServer, folder: Path) -> None:
    replies = {
        0: Says(200, completion(None, finish="content_filter")),
        1: Says(200, completion("I cannot help with that.")),
        2: Says(200, completion("[]")),
        3: error(400, "too long", "context_length_exceeded"),
        4: error(500, "hiccup"),
    }
    server.script = lambda number, prompt: replies.get(number) or answers(number, prompt)
    found = made(server, "--concurrency", "1", "--attempts", "1")["answers"]
    assert found["unusable"] == {"filtered": 1, "refused": 2, "without a query": 1}
    assert found["failed"] == {"the endpoint answered 500: hiccup (1 tries)": 1}
    again = made(server)["answers"]
    assert (again["asked"], again["failed"]) == (1, {})


@pytest.mark.parametrize("thoughts", ["", "<think>first of all"])
@pytest.mark.parametrize("usage", [{"prompt_tokens": 200, "completion_tokens": 49}, None])
def test_what_was_cut_is_asked_again_with_more_tokens_alone(
    server: OpenAIServer, folder: Path, thoughts: str, usage: dict[str, int] | None
) -> None:
    cut = Says(200, completion(thoughts, finish="length", usage=usage))
    server.script = lambda number, prompt: cut if number in (0, 3) else answers(number, prompt)
    one = ("--max-passages", "3", "--concurrency", "1")
    assert made(server, *one, "--max-tokens", "50")["answers"]["unusable"] == {"cut": 1}
    for tokens in ("50", "20"):
        assert made(server, *one, "--max-tokens", tokens)["answers"]["asked"] == 0
    stopped = made(server, *one, "--max-tokens", "60", *PRICES, "--max-cost", "0")["answers"]
    assert (stopped["answered"], stopped["left"]) == (2, 1)
    for tokens, asked in (("60", 1), ("60", 0), ("70", 1), ("80", 0)):
        assert made(server, *one, "--max-tokens", tokens)["answers"]["asked"] == asked
    assert made(server, *one)["answers"]["unusable"] == {}
    assert len(server.requests) == 5


def test_an_answer_that_was_cut_in_a_query_is_one(server: OpenAIServer, folder: Path) -> None:
    cut = Says(200, completion('["what is a marten?", "and what is', finish="length"))
    server.script = lambda _number, _prompt: cut
    one = ("--max-passages", "1", "--round-trip", "off")
    assert made(server, *one)["pairs"] == made(server, *one, "--max-tokens", "9999")["pairs"] == 1
    assert len(server.requests) == 1


def test_answers_that_were_cut_before_their_limit_was_kept(
    server: OpenAIServer, folder: Path
) -> None:
    server.script = lambda number, prompt: (
        answers(number, prompt) if number else Says(200, completion("", finish="length"))
    )
    one = ("--max-passages", "2", "--concurrency", "1")
    made(server, *one, "--max-tokens", "50")
    with closing(sqlite3.connect(".reindex/synthesis/answers.sqlite")) as journal, journal:
        journal.execute("DROP TABLE cuts")
    assert made(server, *one, "--max-tokens", "50")["answers"]["asked"] == 0
    assert made(server, *one, "--max-tokens", "51")["answers"]["asked"] == 1


def test_where_nothing_comes_of_it_the_failures_are_told(
    server: OpenAIServer, folder: Path
) -> None:
    server.script = lambda number, _: (
        Says(200, completion("[]")) if number else error(500, "hiccup")
    )
    result = run(server, "--concurrency", "1", "--attempts", "1", "--max-passages", "3")
    said = " ".join(result.output.split())
    assert result.exit_code == 1
    assert "2 answers without a query" in said
    assert "1 requests failed: the endpoint answered 500: hiccup" in said


def test_duplicates_and_judged_queries_are_dropped(server: OpenAIServer, folder: Path) -> None:
    judged = f"Tell me of {text(0)[:30]}"
    (folder / "data" / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": judged}))
    (folder / "data" / "qrels").mkdir()
    (folder / "data" / "qrels" / "test.tsv").write_text("q\td0\t1\n")

    def script(number: int, prompt: str) -> Says:
        own = queries_for(passage_of(prompt), 1)
        return Says(body=completion(json.dumps([*own, "the same for all", judged.upper()])))

    server.script = script
    found = made(server, "--round-trip", "off")
    assert found["pairs"] == PASSAGES + 1
    assert found["queries_dropped"]["like judged queries"] == 1
    assert found["queries_dropped"]["duplicates"] == 2 * (PASSAGES - 1)
    left = made(server, "--round-trip", "off", "--no-judged-documents")
    assert left["passages_dropped"] == {"judged": 1}


def test_the_round_trip_drops_what_does_not_find_its_passage(
    server: OpenAIServer, folder: Path
) -> None:
    def script(number: int, prompt: str) -> Says:
        at = int(passage_of(prompt).split()[-1].lstrip("abcdefghijklmnopqrstuvwxyz"))
        other = queries_for(text((at + 1) % PASSAGES), 1)
        return Says(body=completion(json.dumps([*queries_for(passage_of(prompt), 1), *other])))

    server.script = script
    found = made(server, "--round-trip-k", "1", "--max-words", "32")
    assert found["round_trip"]["share"] < 0.7
    assert found["queries_dropped"]["passage not found"] > 0
    refused = run(server, "--round-trip", "model")
    assert "nothing is live" in refused.output


def test_settings_are_refused_before_anything_is_read(server: OpenAIServer, folder: Path) -> None:
    (folder / "data" / "corpus.jsonl").unlink()
    assert "Pass --model NAME" in run(server, "--model", "").output
    assert "needs prices" in run(server, "--max-cost", "1").output
    assert "NAME of an environment variable" in run(server, "--api-key-env", KEY).output


def test_titles_that_there_are_none_of(server: OpenAIServer, folder: Path) -> None:
    rows = [{"_id": f"d{at}", "text": text(at)} for at in range(3)]
    (folder / "data" / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run(server, "--from", "titles")
    assert result.exit_code == 1
    assert "No pair is left: 3 passages gave 0 queries" in result.output
    assert not list(Path().glob("synthetic-*"))


def test_a_file_of_ones_own_is_not_overwritten(server: OpenAIServer, folder: Path) -> None:
    Path("synthetic-llm.jsonl").write_text("mine\n")
    assert "Name another with --output" in run(server).output
    assert server.requests == []


def command(server: OpenAIServer, *more: str) -> subprocess.Popen[str]:
    """The command as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "reindex", *arguments(server, *more)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ},
    )  # fmt: skip


@pytest.mark.parametrize(
    "blow",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_ends_early_loses_no_answer(
    blow: signal.Signals, server: OpenAIServer, folder: Path
) -> None:
    let = threading.Event()

    def script(number: int, prompt: str) -> Says:
        reply = answers(number, prompt)
        return Says(body=reply.body, hold=let if number == 5 else None)

    server.script = script
    process = command(server, "--concurrency", "1")
    server.wait_for(6)  # five are answered, the sixth is under way
    process.send_signal(blow)
    if blow == signal.SIGKILL:
        process.wait(60)
    let.set()
    output = "".join(process.communicate(timeout=60))
    assert process.returncode != 0
    kept = 5 if blow == signal.SIGKILL else 6  # what is under way is waited for
    if blow != signal.SIGKILL:
        assert f"The answers so far are kept ({kept} of this run)" in output
    found = made(server)["answers"]
    assert (found["asked"], found["answered"]) == (PASSAGES - kept, PASSAGES)
    asked = Counter(passage_of(prompt) for prompt in server.prompts)
    assert sorted(asked.values()) == [1] * kept + [1] * (PASSAGES - 6) + [2] * (6 - kept)


@pytest.mark.train
def test_from_a_corpus_alone_to_a_version(
    server: OpenAIServer,
    folder: Path,
    tiny_base: str,  # noqa: F811
) -> None:
    pytest.importorskip("sentence_transformers")
    made(server)
    result = CliRunner().invoke(
        main, ["train", "--base", tiny_base, "--pairs", "synthetic-llm.jsonl", "--json"]
    )
    assert result.exit_code == 0, result.output
    with open_project(folder) as project:
        version = project.registry.version("v1")
    (told,) = version.recipe["lineage"]["pairs_made"].values()
    assert (version.state, told["model"], told["from"]) == ("trained", "writer", "llm")
    assert KEY not in json.dumps(version.recipe)
