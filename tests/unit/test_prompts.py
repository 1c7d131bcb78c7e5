"""Which prompts a model declares, and when they are taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reindex.config import TrainSettings
from reindex.errors import ModelError
from reindex.prompts import FILE, declared_prompts, read_prompts
from reindex.training import prompts
from reindex.training.prompts import prompts_of, with_prompts

OWN = {"query": "query: ", "passage": "passage: "}


@pytest.mark.parametrize(
    ("declared", "default", "expected"),
    [
        ({}, None, ("", "")),
        (None, None, ("", "")),
        (OWN, None, ("query: ", "passage: ")),
        ({"query": "q: ", "document": "", "corpus": "c: "}, None, ("q: ", "c: ")),
        ({"query": "q: ", "document": None}, None, ("q: ", "")),
        ({"clustering": "cluster: "}, None, ("", "")),
        ({"any": "text: "}, "any", ("text: ", "text: ")),
        ({"query": "q: ", "any": "text: "}, "any", ("q: ", "text: ")),
        (OWN, "not there", ("query: ", "passage: ")),
    ],
)
def test_what_a_model_declares(
    declared: dict[str, str | None] | None, default: str | None, expected: tuple[str, str]
) -> None:
    assert declared_prompts(declared, default) == expected


@pytest.mark.parametrize("content", [None, "{", "[]", '{"prompts": null}', "{}"])
def test_a_folder_that_does_not_say_has_none(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / FILE).write_text(content)
    assert read_prompts(tmp_path) == ("", "")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("query: ", "passage: ")),
        ({"query_prompt": "ask: "}, ("ask: ", "passage: ")),
        ({"query_prompt": "", "document_prompt": ""}, ("", "")),
    ],
)
def test_a_configured_prompt_wins_also_an_empty_one(
    tmp_path: Path, given: dict[str, str], expected: tuple[str, str]
) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / FILE).write_text(json.dumps({"prompts": OWN}))
    settings = TrainSettings.model_validate(given)
    assert prompts_of(settings, str(tmp_path)) == expected
    said = with_prompts(settings, str(tmp_path))
    assert (said.query_prompt, said.document_prompt) == expected


def test_a_hub_that_cannot_be_reached_leaves_the_error_to_the_loading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def without_hub(place: str) -> bool:
        asked.append(place)
        raise ModelError("nobody answers")

    monkeypatch.setattr(prompts, "without_hub", without_hub)
    assert prompts_of(TrainSettings(), "some/model") == ("", "")
    assert prompts_of(TrainSettings(query_prompt="q: ", document_prompt=""), "some/model")[0]
    assert asked == ["some/model"]  # nothing is asked where both are said
