"""What models declare to be put before queries and documents, as sentence-transformers keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "config_sentence_transformers.json"

_DOCUMENT = ("document", "passage", "corpus")
"""Under which of these names models declare what comes before documents."""


def declared_prompts(
    declared: Mapping[str, str | None] | None, default: str | None = None
) -> tuple[str, str]:
    """Before queries and before documents, of a model's ``prompts``; empty where it has none.

    ``default`` is its ``default_prompt_name``: put before what has no prompt of its own, as
    sentence-transformers' ``encode_query`` and ``encode_document`` do.
    """
    known = {name: prompt for name, prompt in (declared or {}).items() if prompt}
    other = known.get(default or "", "") or ""
    document = next((known[name] for name in _DOCUMENT if name in known), other)
    return known.get("query", other) or "", document or ""


def read_prompts(folder: Path) -> tuple[str, str]:
    """`declared_prompts` of a model's folder; empty where it does not say."""
    try:
        content: Any = json.loads((folder / FILE).read_text("utf-8"))
        return declared_prompts(content.get("prompts"), content.get("default_prompt_name"))
    except (OSError, ValueError, AttributeError):
        return "", ""
