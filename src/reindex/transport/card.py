"""The model card of a pushed artifact: README.md with the metadata that hubs and loaders read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from reindex.artifact import Manifest

CARD_NAME = "README.md"

_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_TAGS = ("sentence-transformers", "sentence-similarity", "feature-extraction", "onnx",
         "text-embeddings-inference", "reindex")  # fmt: skip


def model_card(manifest: Manifest, origin: Mapping[str, Any]) -> str:
    """The card. The same for the same artifact: it holds no time of its own."""
    parts = [_front_matter(manifest), _title(manifest, origin), _facts(manifest)]
    parts += [_measured(origin), _use(manifest)]
    return "\n".join(part for part in parts if part)


def _front_matter(manifest: Manifest) -> str:
    lines = ["---", "library_name: sentence-transformers", "pipeline_tag: sentence-similarity"]
    if _HUB_ID.fullmatch(manifest.base):
        lines.append(f"base_model: {manifest.base}")
    return "\n".join([*lines, "tags:", *(f"- {tag}" for tag in _TAGS), "---", ""])


def _title(manifest: Manifest, origin: Mapping[str, Any]) -> str:
    name = (
        f"{origin.get('project', '')} {origin.get('version', '')}".strip() or "An embedding model"
    )
    return (
        f"# {name}\n\nAn embedding model of {manifest.dim} dimensions, made from "
        f"`{manifest.base}`: ONNX graphs with their tokenizer and prompts. `manifest.json` names "
        "every file with its sha256.\n"
    )


def _facts(manifest: Manifest) -> str:
    prompts = (manifest.query_prompt, manifest.document_prompt)
    rows = {
        "Dimensions (Matryoshka)": ", ".join(map(str, manifest.matryoshka_dims)),
        "Pooling": manifest.pooling,
        "Tokens per text": manifest.max_length,
        "Query and document prompt": " and ".join(f"`{json.dumps(one)}`" for one in prompts),
        "Graphs": ", ".join(manifest.present),
        "Space": f"`{manifest.space}`",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items()), ""])


def _measured(origin: Mapping[str, Any]) -> str:
    after = origin.get("metrics", {}).get("after", {})
    rows = [f"| {name} | {value:.4f} |" for name, value in after.items()
            if isinstance(value, float)]  # fmt: skip
    return "\n".join(["| on dev | |", "|---|---|", *rows, ""]) if rows else ""


def _use(manifest: Manifest) -> str:
    if manifest.members:
        return "An ensemble: its members, in `members/`, are loaded together by `reindex` alone.\n"
    return (
        "```python\nfrom sentence_transformers import SentenceTransformer\n\n"
        'model = SentenceTransformer("this/folder", backend="onnx")\n```\n\n'
        "Encode one text per call with the int8 graph: it is quantized dynamically, so texts of a "
        "batch move each other's vectors.\n"
    )
