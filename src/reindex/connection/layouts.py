"""A stored payload as text and metadata, in whatever layout it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reindex.corpus.frameworks import NODE_KEY, StoredText, detect

_METADATA = {"langchain": "metadata", "haystack": "meta"}
"""Where a framework's payload keeps its metadata."""


def text_and_metadata(
    payload: Mapping[str, Any], text_key: str | None = None
) -> tuple[str, dict[str, Any]]:
    """What was embedded, and what stands beside it.

    LangChain's, LlamaIndex's and Haystack's layouts are known by their keys. Of any other the text
    is ``text_key``, else a usual field, and the metadata are all other fields.
    """
    text = StoredText("plain", (text_key,)) if text_key else _text_of(payload)
    return text(payload), _metadata(text, payload)


def _text_of(payload: Mapping[str, Any]) -> StoredText:
    found = detect([payload])
    return found[0].text if found else StoredText("plain")


def _metadata(text: StoredText, payload: Mapping[str, Any]) -> dict[str, Any]:
    if not text.fields and text.preset == "llamaindex":
        return dict(json.loads(payload[NODE_KEY]).get("metadata") or {})
    if not text.fields and text.preset in _METADATA:
        return dict(payload.get(_METADATA[text.preset]) or {})
    body = text.fields or ("text",)
    return {name: value for name, value in payload.items() if name not in body}
