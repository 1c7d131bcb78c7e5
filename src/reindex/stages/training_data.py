"""What a version is trained on: the files of [train], or the source's own judgements."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from reindex.config import TrainSettings
from reindex.config.training_data import DataSettings
from reindex.corpus.pairs import examples_from_beir
from reindex.corpus.training_sets import TrainingSet, drawn, texts_of
from reindex.datasets.ids import Texts
from reindex.datasets.reading import DataFile, read_data
from reindex.errors import ConfigError, DataError
from reindex.evaluation.sketches import Sketches
from reindex.protocols import DeadLetterSink, DocumentSource
from reindex.records import TrainingExample, query_hash
from reindex.stages.leaking import judged_hashes, judged_texts
from reindex.stages.reading import documents_of
from reindex.workspace import Workspace

LETTERS = "pairs"
"""Name of the dead letters of training data."""


def configured_data(settings: TrainSettings) -> tuple[DataSettings, ...]:
    """The tables of [[train.data]]; ``train.pairs`` is the short form of one, and comes first."""
    short = () if settings.pairs is None else (DataSettings(path=settings.pairs),)
    return (*short, *settings.data)


def read_table(
    workspace: Workspace, how: DataSettings, dead: DeadLetterSink | None = None
) -> DataFile:
    """Read one table's file, as seen from the config file's folder. Raises as `read_data`."""
    paths = {name: getattr(how, name) for name in ("path", "queries", "documents")}
    seen = {name: workspace.settings.resolve(path) for name, path in paths.items() if path}
    how = how.model_copy(update=seen)
    texts = Texts(how.path, how, workspace.settings.source, _Project(workspace))
    return read_data(how, dead, clicks=workspace.settings.train.clicks, texts=texts)


@dataclass(frozen=True, slots=True)
class _Project:
    """A project's own queries and documents."""

    workspace: Workspace

    def queries_file(self) -> Path | None:
        return self.workspace.queries_file()

    def documents(self) -> AbstractContextManager[DocumentSource]:
        return documents_of(self.workspace)


def read_sets(workspace: Workspace, settings: TrainSettings) -> list[TrainingSet]:
    """The training sets of the settings' tables, else the source's pairs.

    Raises:
        ConfigError, DataError, TooManyBadRows: as `read_files`.
    """
    return [file.data for file in read_files(workspace, settings)]


def read_files(workspace: Workspace, settings: TrainSettings) -> list[DataFile]:
    """The files of the settings' tables, else the source's pairs; bad rows are kept apart.

    Raises:
        ConfigError: there are none. DataError, TooManyBadRows: they cannot be read.
    """
    tables = configured_data(settings)
    if tables:
        with workspace.dead_letters(LETTERS) as dead:
            return [read_table(workspace, table, dead) for table in tables]
    queries, qrels = workspace.queries_file(), workspace.train_qrels()
    if queries is None or qrels is None:
        raise ConfigError(
            "There are no training pairs. Pass --pairs FILE, set train.pairs or [[train.data]] in "
            "reindex.toml, or use a BEIR source that has queries.jsonl and qrels/train.tsv."
        )
    with documents_of(workspace) as source:
        rows = examples_from_beir(queries, qrels, source)
    return [DataFile(source.name, "pairs", {}, TrainingSet("pairs", rows, source.name))]


def told_of(file: DataFile) -> list[str]:
    """What was left out of a file and how it was read, a line each."""
    lines = [f"{count:,} rows were left out: {reason}" for reason, count in file.dropped.items()]
    if file.bad:
        lines.append(
            f"{file.bad:,} rows could not be used; they are in dead-letters/{LETTERS}.jsonl of the "
            "project's home, and `reindex data check` tells why"
        )
    return [f"{file.path}: {line}." for line in (*lines, *file.notes)]


def without_judged(
    data: TrainingSet, hashes: Collection[str], texts: Collection[str]
) -> TrainingSet:
    """The rows none of whose texts is a judged query, or nearly one; negatives may be.

    ``hashes`` are those of all judged queries, ``texts`` those of them that are at hand.
    """
    seen = [_seen(row) for row in data.rows]
    near = _near({text for row in seen for text in row}, texts)
    return data.only(
        place
        for place, row in enumerate(seen)
        if not any(text in near or query_hash(text) in hashes for text in row)
    )


def _seen(row: object) -> tuple[str, ...]:
    if isinstance(row, TrainingExample):
        return (row.anchor, row.positive)
    return texts_of(row)  # type: ignore[arg-type]


def _near(texts: Collection[str], judged: Collection[str]) -> set[str]:
    """The texts that have, nearly, a judged query's words; far longer ones cannot have them."""
    longest = 4 * max(map(len, judged), default=0)
    asked = [text for text in texts if len(text) <= longest]
    nearest = Sketches.of(judged).nearest(asked)
    return {text for text, near in zip(asked, nearest, strict=True) if near}


def sampled(data: TrainingSet, limit: int | None, seed: int) -> TrainingSet:
    """The rows as often as they are to be drawn; of more than ``limit`` a random sample."""
    rows = drawn(data)
    if limit is None or len(rows.rows) <= limit:
        return rows
    return rows.only(random.Random(seed).sample(range(len(rows.rows)), limit))  # noqa: S311


@dataclass(frozen=True, slots=True)
class TrainingData:
    """All sets to train on, each with the table of [[train.data]] that it came by.

    Attributes:
        sets: what is left of them, as often as it is to be drawn.
        tables: loss and weight of each.
        held_out: rows that were left out because of a judged query.
        read: the sets before that.
        told: what people should know of how they were read.
    """

    sets: tuple[TrainingSet, ...]
    tables: tuple[DataSettings, ...]
    held_out: int
    read: tuple[TrainingSet, ...]
    told: tuple[str, ...] = ()

    @property
    def examples(self) -> list[TrainingExample]:
        """The rows of all sets, where all are queries with documents.

        Raises:
            DataError: one holds rows of another kind.
        """
        for data in self.sets:
            if data.kind not in ("pairs", "triplets"):
                raise DataError(
                    f"{data.name} holds rows of kind {data.kind!r}; expected pairs or triplets."
                )
        return _examples(self.sets)

    @property
    def read_examples(self) -> list[TrainingExample]:
        """All queries with documents that were read, those that were left out too."""
        return _examples(self.read)

    @property
    def digest(self) -> str:
        """sha256 over texts, scores and labels of all sets, with their losses and weights."""
        named = [(item.loss, item.weight) for item in self.tables]
        plain = all(data.kind in ("pairs", "triplets") for data in self.sets)
        if plain and {*named} == {(None, 1.0)}:
            return _digest_of_examples(self.examples)
        both = zip(self.sets, named, strict=True)
        rows = [[data.kind, data.digest, *how] for data, how in both]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _examples(sets: Iterable[TrainingSet]) -> list[TrainingExample]:
    return [row for data in sets for row in data.rows if isinstance(row, TrainingExample)]


def _digest_of_examples(examples: Sequence[TrainingExample]) -> str:
    """As the recipes of all versions have it that were trained on pairs alone."""
    digest = hashlib.sha256()
    for item in examples:
        scores = [list(item.scores)] if item.scores else []
        row = json.dumps([item.anchor, item.positive, *item.negatives, *scores])
        digest.update(row.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def training_data(
    workspace: Workspace, settings: TrainSettings, project: Workspace | None = None
) -> TrainingData:
    """What a training of these settings sees: never a judged query, of dev or of test.

    Args:
        workspace: whose source and files the data is of.
        settings: [train].
        project: where ``workspace`` stands for another corpus, the project itself: its judged
            queries are left out too.

    Raises:
        ConfigError: no data is configured. DataError: nothing of it can be used, or is left.
    """
    files = read_files(workspace, settings)
    read = [file.data for file in files]
    places = {workspace, project or workspace}
    hashes = set[str]().union(*map(judged_hashes, places))
    texts = {text for place in places for text in judged_texts(place)}
    kept = [without_judged(data, hashes, texts) for data in read]
    count = sum(len(data.rows) for data in read)
    held_out = count - sum(len(data.rows) for data in kept)
    for data, before in zip(kept, read, strict=True):
        if not data.rows:
            raise DataError(
                f"There are no training examples left of {data.name}: {len(before.rows)} were "
                "read, and all have a judged query (dev or test), or nearly one, among their texts."
            )
    return TrainingData(
        tuple(sampled(data, settings.max_pairs, settings.seed) for data in kept),
        configured_data(settings) or (DataSettings(path=Path()),),
        held_out,
        tuple(read),
        tuple(line for file in files for line in told_of(file)),
    )
