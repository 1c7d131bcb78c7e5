"""Builds, flips, syncs and single writes without end, in a process for tests to kill: FOLDER SEED.

What is written is in FOLDER/writes.log, see `tests.storm`. Prints ``ready`` once everything is
loaded, right before the first round, and ``round`` after each.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import traceback
from pathlib import Path

from reindex.config import load_settings
from reindex.indexing import Indexer
from reindex.stages.building import build
from reindex.stages.promoting import promote, rollback
from reindex.stages.syncing import sync
from tests.hash_project import HashWorkspace, write_documents
from tests.storm import ThroughIndexer, storm

DOCUMENTS = 400


def texts_of(state: int) -> list[str]:
    """The source in a state: a seventh of the texts edited, and up to 40 more or fewer."""
    count = DOCUMENTS - 20 + state % 41
    return [f"text {n} of state {state if n % 7 == state % 7 else 0}" for n in range(count)]


def change_source(folder: Path, state: int) -> None:
    """Put the source into a state, atomically: being killed must not cut the file."""
    write_documents(folder, texts_of(state), name=f"corpus.{os.getpid()}")
    os.replace(folder / "data" / f"corpus.{os.getpid()}", folder / "data" / "corpus.jsonl")


def step(workspace: HashWorkspace, dice: random.Random) -> None:
    """One round of what operators do."""
    change_source(workspace.settings.root, dice.randrange(1_000))
    other = "v2" if workspace.live_collection() == "docs--v1" else "v1"
    build(workspace, other)
    promote(workspace, other, force=True, reason="kill test")
    if dice.random() < 0.5:
        change_source(workspace.settings.root, dice.randrange(1_000))
        sync(workspace)
    if dice.random() < 0.5:
        rollback(workspace, now=dice.random() < 0.5)


def write_without_end(workspace: HashWorkspace, log: Path, seed: int) -> None:
    """Single writes in a thread of this process, which has the store open."""
    try:
        storm(ThroughIndexer(Indexer(workspace), 1), log, seed, 0.01, threading.Event())
    except BaseException:
        traceback.print_exc()
        os._exit(70)  # a bug, not a kill


def main() -> None:
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    dice = random.Random(seed)
    with HashWorkspace(load_settings(folder)) as workspace:
        given = (workspace, folder / "writes.log", seed)
        threading.Thread(target=write_without_end, args=given, daemon=True).start()
        print("ready", flush=True)
        while True:
            step(workspace, dice)
            print("round", flush=True)


if __name__ == "__main__":
    main()
