"""Mines in a project as another process, to be killed; tells of every text that it embeds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reindex.config import TrainSettings
from reindex.records import Vector
from reindex.registry.ledger import Version
from reindex.stages.mining_files import mine_file
from tests.hash_project import DIM, HashWorkspace
from tests.word_encoder import WordEncoder


class Counting(WordEncoder):
    """Writes a line for every document that it embeds."""

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        """As the word encoder does."""
        vectors = super().encode_documents(texts)
        for text in texts:
            print("embedded", text, flush=True)
        return vectors


class CountingWorkspace(HashWorkspace):
    """Its versions count."""

    def encoder(self, version: Version, **_: Any) -> Any:
        """The version's encoder."""
        return Counting(DIM, seed=int(version.name.removeprefix("v")))


def main(folder: str) -> None:
    """Mine with v1 into ``mined.jsonl``."""
    negatives = {"sources": "dense", "model": "v1"}
    settings = TrainSettings.model_validate({"negatives": negatives})
    with CountingWorkspace.open(Path(folder)) as project:
        mine_file(project, settings, Path(folder) / "mined.jsonl")


if __name__ == "__main__":
    main(*sys.argv[1:])
