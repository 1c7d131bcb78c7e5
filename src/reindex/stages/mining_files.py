"""`reindex data mine`: the training pairs with mined negatives, in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reindex.config import TrainSettings
from reindex.corpus.training_sets import TrainingSet
from reindex.errors import ConfigError, DataError
from reindex.mining.results import MiningReport
from reindex.records import TrainingExample
from reindex.stages.mining import mined_data
from reindex.stages.training_data import training_data
from reindex.workspace import Workspace


@dataclass(frozen=True, slots=True)
class MinedFile:
    """A file of n-tuples that `reindex train --pairs` takes, and how it came about.

    ``told`` is what people should know of how the pairs were read.
    """

    path: Path
    held_out: int
    report: MiningReport
    told: tuple[str, ...] = ()


def mine_file(
    workspace: Workspace, settings: TrainSettings, output: Path, *, corpus: Path | None = None
) -> MinedFile:
    """Mine negatives for the training pairs and write them, with the pairs, to a JSONL file.

    Pairs of judged queries are left out, as in training.

    Raises:
        ConfigError: no source of negatives is chosen.
        DataError: there are no pairs, or none with enough negatives.
    """
    if output.suffix != ".jsonl":
        raise DataError(f"{output}: expected a file that ends in .jsonl.")
    if not settings.negatives.sources:
        raise ConfigError(
            "No source of negatives is chosen. Pass --negatives (bm25, dense, random, or several "
            "with commas between), or set train.negatives.sources."
        )
    data = workspace if corpus is None else workspace.with_corpus(corpus)
    given = training_data(data, settings, workspace)
    whole = TrainingSet("pairs", given.examples, output.name)
    mined = mined_data(workspace, data, settings, replace(given, sets=(whole,)))
    write_rows(mined.given.examples, output)
    return MinedFile(output, given.held_out, mined.reports[0], given.told)


def write_rows(rows: Sequence[TrainingExample], output: Path) -> None:
    """Write rows as JSONL: query, positive, negative_1, …; the file appears whole or not at all."""
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f"{output.name}.{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8") as out:
        for row in rows:
            fields = {"query": row.anchor, "positive": row.positive}
            fields |= {f"negative_{at}": text for at, text in enumerate(row.negatives, start=1)}
            out.write(json.dumps(fields, ensure_ascii=False) + "\n")
    partial.replace(output)
