"""Writes, promotes and rolls back without end, in a process of its own, for tests that kill it.

FOLDER SEED. Prints ``ready`` before the first write. What it is about to write and what was
acknowledged goes to FOLDER/writes.log, a JSON line each, before and after each call.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

from reindex.config import load_settings
from reindex.indexing import Indexer, Write
from reindex.stages.promoting import promote, rollback
from tests.hash_project import HashWorkspace

IDS = [f"d{number}" for number in range(12)] + [f"new-{number}" for number in range(6)]


def writes_of(dice: random.Random, number: int) -> list[Write]:
    """A few upserts and deletes; sometimes the payload alone changes."""
    chosen = dice.sample(IDS, dice.randrange(1, 5))
    return [_write(dice, id, number) for id in chosen]


def _write(dice: random.Random, id: str, number: int) -> Write:
    if dice.random() < 0.3:
        return Write(id)
    text = f"text {id} {dice.randrange(3)}"
    return Write(id, None, {"text": text, "number": number})


def flip(workspace: HashWorkspace, dice: random.Random) -> None:
    """The alias to the other version, by what is at hand."""
    if workspace.live_collection() == "docs--v1":
        promote(workspace, "v2", force=True, reason="kill test")
    else:
        rollback(workspace, now=dice.random() < 0.5)


def main() -> None:
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    dice = random.Random(seed)
    with (
        HashWorkspace(load_settings(folder)) as workspace,
        (folder / "writes.log").open("a", encoding="utf-8", buffering=1) as log,
    ):
        indexer = Indexer(workspace)
        print("ready", flush=True)
        number = seed * 1_000_000
        while True:
            number += 1
            if dice.random() < 0.05:
                flip(workspace, dice)
                print("flip", flush=True)
            writes = writes_of(dice, number)
            rows: list[Any] = [[write.id, write.payload] for write in writes]
            print(json.dumps(["begin", rows]), file=log)
            indexer._apply(writes)
            print(json.dumps(["done", rows]), file=log)


if __name__ == "__main__":
    main()
