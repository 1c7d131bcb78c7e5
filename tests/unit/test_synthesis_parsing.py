"""A model's answer becomes queries, in whatever form it comes; prompts take what is put in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reindex.errors import ConfigError
from reindex.records import TrainingExample
from reindex.synthesis.parsing import is_refusal, parse_queries
from reindex.synthesis.prompts import make_prompt

ONE, TWO, THREE = "what is a lease?", 'flip the "alias" back', "rollback after a bad promotion"
ALL = [ONE, TWO, THREE]
LIST = json.dumps(ALL)


@pytest.mark.parametrize(
    "content",
    [
        LIST,
        json.dumps(ALL, indent=2),
        f"```json\n{LIST}\n```",
        f"```\n{LIST}\n```\nI hope this helps!",
        f"Here are three queries:\n\n{LIST}",
        f"<think>[passage] is about {{leases}}</think>\n{LIST}",
        f'["a draft"] or\n1. another one\n</think>\n{LIST}',
        f"I open with <think>, draft\n- a list\n</THINK> again </think>\n{LIST}",
        f"{LIST}\n<think>was it that?</think>",
        json.dumps({"queries": ALL}),
        json.dumps({"note": "three of them", "queries": ALL}),
        json.dumps([{"query": item, "kind": "question"} for item in ALL]),
        json.dumps({"queries": [{"question": item} for item in ALL]}),
        json.dumps({"1": ONE, "2": TWO, "3": THREE, "all": [ONE, TWO, THREE]}),
        "\n".join(f"{at}. {item}" for at, item in enumerate(ALL, 1)),
        "\n".join(f'{at}) "{item}"' for at, item in enumerate(ALL, 1)),
        "Queries:\n" + "\n".join(f"- {item}" for item in ALL),
        "\n".join(f"* **{item}**" for item in ALL),
        "\n".join(f"Query {at}: {item}" for at, item in enumerate(ALL, 1)),
        "\n".join(ALL),
        "Sure, here they are:\n" + "\n".join(ALL),
        json.dumps([f"{at}. {item}" for at, item in enumerate(ALL, 1)]),
        LIST[:-1] + ', "and one that is cut o',
        f"{LIST}\n[1] the passage",
        json.dumps([*ALL, ONE, "", "  ", "?"]),
        "[" + LIST + "]",
    ],
)
def test_every_form_of_a_list(content: str) -> None:
    assert parse_queries(content, 5) == ALL


@pytest.mark.parametrize(
    "content",
    [
        "",
        "I'm sorry, but I can't help with that.",
        "I cannot create queries for this passage.",
        "As an AI, I do not write such things.",
        "<think>nothing but thoughts",
        '["a draft"]\n</think>',
        "[]",
        "{}",
        "```json\n```",
        "x" * 1000,
    ],
)
def test_no_query(content: str) -> None:
    assert parse_queries(content, 3) == []


def test_no_more_than_were_asked_for() -> None:
    assert parse_queries(LIST, 2) == ALL[:2]


def test_queries_that_sound_like_a_refusal_are_none() -> None:
    content = json.dumps(["I can't log in any more", "I'm sorry I lost my key, what now?"])
    assert len(parse_queries(content, 3)) == 2
    assert not is_refusal(content)
    assert not is_refusal("I can't log in any more")
    assert is_refusal("What shall I write?</think> I cannot help with that.")
    assert is_refusal("I’m sorry, but I can’t assist with that request.")


# -- prompts


def test_the_prompt_that_comes_along() -> None:
    prompt = make_prompt(None, n=2)
    text = prompt.render("Rivers {n} run {examples}.")
    assert 'Passage:\n"""\nRivers {n} run {examples}.\n"""\nQueries:' in text
    assert "Answer with a JSON list of 2 strings" in text
    assert "Write in the language of the passage." in text
    assert text.count("Passage:\n") == 3
    assert "{language}" not in text


def test_own_examples_take_the_place_of_ours() -> None:
    long = "heron " * 500
    examples = [
        TrainingExample("first?", long), TrainingExample("second?", long),
        *(TrainingExample(f"q{at}", f"passage {at}") for at in range(9)),
    ]  # fmt: skip
    text = make_prompt(None, n=2, language="Czech", examples=examples).render("the passage")
    assert '["first?", "second?"]' in text
    assert text.count("Passage:\n") == 5
    assert text.count("heron") == 100
    assert "iron" not in text
    assert "Write the queries in Czech." in text


def test_a_prompt_file(tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text('\ufeffJSON like {"a": 1}, {n} of them: {passage}', "utf-8")
    prompt = make_prompt(file, n=4)
    assert prompt.render("P") == 'JSON like {"a": 1}, 4 of them: P'
    file.write_text("other {passage}", "utf-8")
    assert make_prompt(file, n=4).sha256 != prompt.sha256


@pytest.mark.parametrize("text", [b"no place for a {Passage}", b"\xff\xfe"])
def test_a_prompt_file_that_is_none(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "prompt.txt"
    file.write_bytes(text)
    with pytest.raises(ConfigError, match=r"prompt\.txt"):
        make_prompt(file, n=3)
    with pytest.raises(ConfigError, match="cannot be read"):
        make_prompt(tmp_path / "none.txt", n=3)
