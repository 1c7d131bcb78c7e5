"""The text of a stored payload, held against what the frameworks' own classes wrote."""

from __future__ import annotations

import json
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
    fields = ("metadata.title", "page_content")
    own = SourceSettings(kind="collection", payload="langchain", text_fields=fields)
    assert stored_text(own)({"metadata": {"title": "T"}, "page_content": "B"}) == "T\nB"
    files = SourceSettings(payload="langchain", text_fields=("title", "body"))  # of their rows
    assert stored_text(files)({"page_content": "T\nB", "metadata": {"title": "T"}}) == "T\nB"
    assert stored_text(SourceSettings())({"title": "T", "text": "B"}) == "T\nB"


@pytest.mark.parametrize("preset", ["plain", "langchain", "llamaindex", "haystack"])
def test_a_payload_without_text_gives_an_empty_one(preset: str) -> None:
    wrong: dict[str, Any] = {"text": None, "page_content": 3, "content": " "}
    for payload in ({}, wrong, {"_node_content": "{"}):
        assert StoredText(preset)(payload) == ""


def node(**values: Any) -> dict[str, Any]:
    given = {"text": "the text", "metadata": {"topic": "a {brace}", "n": 1}, **values}
    return {"_node_content": json.dumps(given)}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "topic: a {brace}\nn: 1\n\nthe text"),
        ({"metadata_template": "<{key}> {{{value}}}"}, "<topic> {a {brace}}\n<n> {1}\n\nthe text"),
        ({"metadata_separator": " | "}, "topic: a {brace} | n: 1\n\nthe text"),
        ({"text_template": "{content} ({metadata_str}) {content}"},
         "the text (topic: a {brace}\nn: 1) the text"),
        ({"text_template": None, "metadata_separator": None}, "topic: a {brace}\nn: 1\n\nthe text"),
        ({"excluded_embed_metadata_keys": ["topic"]}, "n: 1\n\nthe text"),
    ],
)  # fmt: skip
def test_a_node_s_templates_are_filled_as_llamaindex_does(
    values: dict[str, Any], text: str
) -> None:
    from llama_index.core.schema import MetadataMode, TextNode

    payload = node(**values)
    assert StoredText("llamaindex")(payload) == text
    given = json.loads(payload["_node_content"])
    theirs = TextNode(**{key: value for key, value in given.items() if value is not None})
    assert theirs.get_content(MetadataMode.EMBED) == text


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"metadata_template": "{value.__class__.__mro__}"},
         "template: a field {value.__class__.__mro__}"),
        ({"metadata_template": "{key[0]}"}, "template: a field {key[0]}"),
        ({"text_template": "{content:>1000000000}"}, "template: a field {content:>1000000000}"),
        ({"text_template": "{content!r}"}, "template: a field {content!r}"),
        ({"text_template": "{}"}, "template: a field {}"),
        ({"text_template": "{nobody}"}, "template: a field {nobody}"),
        ({"text_template": "{content"}, "template: expected '}' before end of string"),
        ({"text_template": "}"}, "template: Single '}' encountered in format string"),
        ({"text_template": 5}, "node: text_template is no text"),
        ({"metadata_separator": ["x"]}, "node: metadata_separator is no text"),
        ({"metadata": ["x"]},
         "node: its metadata is no object, or the keys to leave out are no list"),
        ({"excluded_embed_metadata_keys": 3},
         "node: its metadata is no object, or the keys to leave out are no list"),
    ],
)  # fmt: skip
def test_a_node_that_cannot_be_read_costs_one_line(values: dict[str, Any], reason: str) -> None:
    text = StoredText("llamaindex")
    assert text(node(**values)) == ""
    assert text.missing(node(**values)) == reason
    assert text.missing({}) == "no text in the node's text with its metadata (llamaindex)"


def test_json_too_deep_to_be_read_holds_no_text() -> None:
    deep = "[" * 100_000
    assert StoredText("llamaindex")({"_node_content": deep}) == ""
    assert StoredText("plain", ("node.text",))({"node": deep}) == ""
