"""A project of hash encoders whose payloads are laid out as Haystack's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.hash_project import HashWorkspace, hash_project

TOPICS = ("lists", "sets", "files")
TEXTS = [f"the text of number {number}" for number in range(30)]
FILES = {"payload": "haystack", "text_fields": ["text"]}
COLLECTION = {"payload": "haystack", "kind": "collection"}


def meta_of(number: int) -> dict[str, Any]:
    return {"number": number, "topic": TOPICS[number % 3]}


def haystack_project(
    folder: Path, *, count: int = len(TEXTS), versions: int = 2, **values: Any
) -> HashWorkspace:
    """Nothing is built yet: documents d0, d1, … in files, with a number and a topic."""
    (folder / "data").mkdir(parents=True)
    rows = [{"_id": f"d{n}", "text": TEXTS[n], **meta_of(n)} for n in range(count)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "data" / "corpus.jsonl").write_text(lines, "utf-8")
    return hash_project(folder, versions=versions, source=FILES, **values)


def live_haystack_project(folder: Path, **given: Any) -> HashWorkspace:
    """The same with v1 live."""
    project = haystack_project(folder, **given)
    project.build("v1")
    project.promote("v1")
    return project
