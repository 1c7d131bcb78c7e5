"""The text of a stored payload, held against what the frameworks' own classes wrote."""

from __future__ import annotations

from typing import Any

import pytest

from reindex.config import SourceSettings
from reindex.corpus.frameworks import StoredText, detect, stored_text
from tests.foreign_fixtures import FRAMEWORKS, NAME, hash_encoder

TEXTS = [f"the text of number {number}" for number in range(5)]


def payloads_of(client: Any) -> list[dict[str, Any]]:
    records, _ = client.scroll(NAME, limit=100)
    return [record.payload for record in records]


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_embedded_text_of_a_framework_s_payload_is_found(framework: str, hybrid: bool) -> None:
    written = FRAMEWORKS[framework](TEXTS, hash_encoder(), hybrid=hybrid)
    payloads = payloads_of(written.client)
    found = detect(payloads)[0]
    assert (found.text.preset, found.share) == (framework, 1.0)
    assert sorted(map(found.text, payloads)) == sorted(written.embedded)


def test_llamaindex_can_be_read_without_the_node_s_metadata() -> None:
    payloads = payloads_of(FRAMEWORKS["llamaindex"](TEXTS, hash_encoder()).client)
    with_metadata, text_only = (item.text for item in detect(payloads)[:2])
    assert with_metadata(payloads[0]).startswith("topic: topic ")
    assert "/tmp/" not in with_metadata(payloads[0])  # excluded_embed_metadata_keys
    assert sorted(map(text_only, payloads)) == TEXTS


def test_other_payloads_by_a_usual_name_and_else_by_length() -> None:
    usual = [{"title": "a longer title than text", "text": "short"}] * 3
    assert detect(usual)[0].text == StoredText("plain", ("text",))
    odd: list[dict[str, Any]] = [
        {"url": "http://x", "answer": "what the document says, at some length"}
    ]
    assert detect(odd)[0].text == StoredText("plain", ("answer",))
    without: list[dict[str, Any]] = [{"n": 1}, {"blank": "  "}]
    assert detect(without) == []
    assert detect([]) == []


def test_the_share_counts_payloads_that_have_the_text() -> None:
    payloads: list[dict[str, Any]] = [
        {"page_content": "x"},
        {"page_content": " "},
        {"page_content": None},
        {"a": 1},
    ]
    assert detect(payloads)[0].share == 0.25


@pytest.mark.parametrize(
    ("fields", "payload", "text"),
    [
        (("metadata.title", "page_content"), {"metadata": {"title": "T"}, "page_content": "B"},
         "T\nB"),
        (("a.b",), {"a.b": "dotted name", "a": {"b": "nested"}}, "dotted name"),
        (("node.text",), {"node": '{"text": "inside JSON"}'}, "inside JSON"),
        (("node.text",), {"node": "no JSON"}, ""),
        (("missing", "text"), {"text": "T"}, "T"),
        (("text",), {"text": 5}, ""),
        (("text.more",), {"text": ["x"]}, ""),
    ],
)  # fmt: skip
def test_fields(fields: tuple[str, ...], payload: dict[str, Any], text: str) -> None:
    assert StoredText("plain", fields)(payload) == text


def test_the_config_s_fields_count_where_they_are_set() -> None:
    assert stored_text(SourceSettings(payload="langchain"))({"page_content": "B"}) == "B"
    own = SourceSettings(payload="langchain", text_fields=("metadata.title", "page_content"))
    assert stored_text(own)({"metadata": {"title": "T"}, "page_content": "B"}) == "T\nB"
    assert stored_text(SourceSettings())({"title": "T", "text": "B"}) == "T\nB"


@pytest.mark.parametrize("preset", ["plain", "langchain", "llamaindex", "haystack"])
def test_a_payload_without_text_gives_an_empty_one(preset: str) -> None:
    wrong: dict[str, Any] = {"text": None, "page_content": 3, "content": " "}
    for payload in ({}, wrong, {"_node_content": "{"}):
        assert StoredText(preset)(payload) == ""
