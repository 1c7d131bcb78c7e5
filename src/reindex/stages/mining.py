"""Negatives for a project's training data: mined from its source, kept by content."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reindex.config import TrainSettings
from reindex.corpus.dead_letters import IgnoredLetters
from reindex.corpus.training_sets import TrainingSet
from reindex.mining.kept import KeptMinings, content_key
from reindex.mining.miner import Request, mine
from reindex.mining.results import Mined, MiningReport
from reindex.mining.snapshot import Snapshot
from reindex.processes import process_alive
from reindex.protocols import Progress
from reindex.records import Document, TrainingExample, query_hash
from reindex.stages.mining_means import Named, means_of
from reindex.stages.reading import documents_of
from reindex.stages.supervision import supervised
from reindex.stages.training_data import TrainingData
from reindex.workspace import Workspace

_CORPUS = "corpus-"


@dataclass(frozen=True, slots=True)
class MinedData:
    """Training data with mined negatives, and how they came about, set by set."""

    given: TrainingData
    reports: tuple[MiningReport, ...] = ()


def mined_data(
    workspace: Workspace, data: Workspace, settings: TrainSettings, given: TrainingData
) -> MinedData:
    """Every set of queries with documents with mined negatives; other kinds as they are.

    What was mined from the same content is taken as it is. Texts that answer a query in any row
    that was read, also one that was left out, are none of its negatives.

    Args:
        data: the project, or a view of it with another corpus: where negatives come from.
    """
    with supervised(workspace, "mine", None) as job, means_of(workspace, settings) as named:
        mined = mine_sets(workspace, data, settings, given, named, job.progress)
        job.details.update(mined=[_counts(report) for report in mined.reports])
        return mined


def _counts(report: MiningReport) -> dict[str, Any]:
    return {"rows": report.rows, "taken": report.taken, "cached": report.cached}


def mine_sets(
    workspace: Workspace, data: Workspace, settings: TrainSettings, given: TrainingData,
    named: Named, progress: Progress,
) -> MinedData:  # fmt: skip
    """`mined_data` with these means, within a run that goes on."""
    positives = known_positives(given.read_examples)
    sets, reports = [], []
    for item in given.sets:
        rows = [row for row in item.rows if isinstance(row, TrainingExample)]
        if not rows:
            sets.append(item)
            continue
        request = Request(rows, settings.negatives, settings.seed, positives)
        mined = mine_or_recall(workspace, data, request, named, progress)
        sets.append(TrainingSet("triplets", list(mined.rows), item.name))
        reports.append(mined.report)
    return MinedData(replace(given, sets=tuple(sets)), tuple(reports))


def mine_or_recall(
    workspace: Workspace, data: Workspace, request: Request, named: Named, progress: Progress
) -> Mined:
    """Mine, unless this very content was mined before; the result is kept."""
    folder = workspace.settings.home / "mined"
    kept = KeptMinings(folder, request.settings.cache_mb * 10**6)
    with _snapshot(data, folder, progress) as corpus:
        key = content_key(request, corpus.digest, named.names)
        mined = kept.get(key)
        if mined is None:
            mined = mine(request, corpus, named.means, progress)
            kept.put(key, mined)
        return mined


def _clear_dead(folder: Path) -> None:
    """Remove what minings that were killed left behind."""
    for place in folder.glob(f"{_CORPUS}*"):
        pid = place.name.removeprefix(_CORPUS).split("-")[0]
        if pid.isdecimal() and not process_alive(int(pid)):
            shutil.rmtree(place, ignore_errors=True)


def known_positives(examples: Sequence[TrainingExample]) -> dict[str, list[str]]:
    """`query_hash` of each query -> all texts that answer it."""
    found: dict[str, list[str]] = {}
    for example in examples:
        found.setdefault(query_hash(example.anchor), []).append(example.positive)
    return found


@contextmanager
def _snapshot(data: Workspace, folder: Path, progress: Progress) -> Iterator[Snapshot]:
    """The corpus's texts in a file that lasts as long as the mining."""
    folder.mkdir(parents=True, exist_ok=True)
    _clear_dead(folder)
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=f"{_CORPUS}{os.getpid()}-") as temporary,
        documents_of(data) as source,
    ):
        total = source.count()
        documents = source.documents(IgnoredLetters())

        def shown() -> Iterator[Document]:
            for number, document in enumerate(documents, start=1):
                if number % 1000 == 0:
                    progress("read documents", number, total)
                yield document

        yield Snapshot.write(shown(), Path(temporary) / "texts")
