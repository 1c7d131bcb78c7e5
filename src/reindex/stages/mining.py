"""Negatives for a project's training data: mined from its source, kept by content."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from reindex.config import TrainSettings
from reindex.corpus.dead_letters import IgnoredLetters
from reindex.corpus.training_sets import TrainingSet
from reindex.errors import UnknownVersion
from reindex.mining.kept import KeptMinings, content_key
from reindex.mining.miner import Request, mine
from reindex.mining.results import Mined
from reindex.mining.snapshot import Snapshot
from reindex.protocols import Encoder, Progress
from reindex.records import Document, TrainingExample, query_hash
from reindex.registry.ledger import Version
from reindex.stages.bases import base_spec
from reindex.stages.reading import documents_of
from reindex.stages.supervision import supervised
from reindex.stages.training_data import TrainingData
from reindex.workspace import Workspace


def with_negatives(
    workspace: Workspace,
    data: Workspace,
    settings: TrainSettings,
    examples: Sequence[TrainingExample],
    positives: Mapping[str, Sequence[str]],
) -> Mined:
    """The examples with mined negatives; what was mined from the same content is taken as it is.

    Args:
        data: the project, or a view of it with another corpus: where negatives come from.
        positives: `query_hash` -> what answers a query, beside the examples.
    """
    request = Request(examples, settings.negatives, settings.seed, positives)
    folder = workspace.settings.home / "mined"
    kept = KeptMinings(folder, settings.negatives.cache_mb * 10**6)
    with (
        supervised(workspace, "mine", None) as job,
        _snapshot(data, folder, job.progress) as corpus,
        _encoder(workspace, settings) as encoder,
    ):
        judges = {} if encoder is None else {"model": f"{encoder.space}/{encoder.encoding}"}
        key = content_key(request, corpus.digest, judges)
        mined = kept.get(key)
        if mined is None:
            mined = mine(request, corpus, encoder, job.progress)
            kept.put(key, mined)
        report = mined.report
        job.details.update(rows=report.rows, taken=report.taken, cached=report.cached)
        return mined


def mined_data(
    workspace: Workspace, data: Workspace, settings: TrainSettings, given: TrainingData
) -> TrainingData:
    """Every set of queries with documents with mined negatives; other kinds as they are."""
    positives = known_positives(given.read_examples)
    sets = []
    for item in given.sets:
        rows = [row for row in item.rows if isinstance(row, TrainingExample)]
        if rows:
            mined = with_negatives(workspace, data, settings, rows, positives).rows
            sets.append(TrainingSet("triplets", list(mined), item.name))
        else:
            sets.append(item)
    return replace(given, sets=tuple(sets))


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
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="corpus-") as temporary,
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


@contextmanager
def _encoder(workspace: Workspace, settings: TrainSettings) -> Iterator[Encoder | None]:
    """What finds dense negatives and judges, with the vectors that are kept; None: not needed."""
    wanted = settings.negatives
    if not wanted.judges and "dense" not in wanted.sources:
        yield None
        return
    version = _version(workspace, settings)
    if version is None:
        from reindex.training.embedding import ModelEncoder

        encoder: Encoder = ModelEncoder(
            base_spec(workspace, wanted.model or settings.base),
            max_length=settings.max_length if wanted.model is None else None,
            prompts=(settings.query_prompt, settings.document_prompt),
        )
    else:
        encoder = workspace.encoder(version, tune=True)
    with workspace.remembering(encoder) as remembering:
        yield remembering


def _version(workspace: Workspace, settings: TrainSettings) -> Version | None:
    """The exported version that is meant, or that is the base itself under these settings."""
    spec = settings.negatives.model or settings.base
    try:
        version = workspace.registry.version(spec)
        return version if version.artifact else None
    except UnknownVersion:
        pass
    recipe = {
        "base": spec,
        "max_length": settings.max_length,
        "query_prompt": settings.query_prompt,
        "document_prompt": settings.document_prompt,
    }
    same = [
        version
        for version in workspace.registry.versions()
        if version.kind == "base" and version.artifact and version.recipe == recipe
    ]
    return same[0] if same else None
