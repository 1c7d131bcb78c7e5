"""Files of training data of any kind -> rows to train on."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from reindex.config.training_data import ClickSettings, DataKind, DataSettings
from reindex.corpus.delimited import read_csv
from reindex.corpus.parquet import read_parquet
from reindex.corpus.readers import (
    BadRow,
    Batch,
    Reader,
    read_json,
    read_jsonl,
    read_jsonl_gz,
)
from reindex.corpus.training_sets import TrainingSet
from reindex.datasets.click_rows import recorded_searches
from reindex.datasets.collecting import (
    Collector,
    Made,
    Setting,
    collector,
    made_of_grades,
    made_of_searches,
)
from reindex.datasets.forms import tell
from reindex.datasets.ids import Texts
from reindex.datasets.qrels import qrels_file, read_graded
from reindex.datasets.rows import Dropped
from reindex.errors import DataError
from reindex.protocols import DeadLetterSink
from reindex.records import TrainingExample
from reindex.registry.interactions import Interactions

READERS: dict[str, Reader] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".jsonl.gz": read_jsonl_gz,
    ".json.gz": read_jsonl_gz,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
}
RECORDED = ".db"
"""How the name of a project's recorded searches ends."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of training data as it was read.

    Attributes:
        path: the file.
        kind: what it holds; ``data.kind`` is what was made of it.
        columns: role -> column.
        data: the rows to train on.
        bad: rows that could not be used.
        dropped: reason -> rows that were left out on purpose.
        notes: what people should know of how it was read.
    """

    path: str
    kind: DataKind
    columns: Mapping[str, str]
    data: TrainingSet
    bad: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_data(
    how: DataSettings,
    dead: DeadLetterSink | None = None,
    *,
    clicks: ClickSettings | None = None,
    texts: Texts | None = None,
) -> DataFile:
    """Read a file; what it holds is told by its columns and values, or by ``how.kind``.

    Args:
        how: the file, and what is known of it.
        dead: takes the bad rows. Without it the first bad row is an error.
        clicks: how logged searches become pairs.
        texts: of queries and documents that are named by ids; None: from beside the file.

    Raises:
        DataError: the file cannot be read, fits no kind, or has no good row.
        TooManyBadRows: ``dead`` says so.
    """
    path = how.path
    setting = Setting(how, {}, clicks or ClickSettings(), texts or Texts(path, how))
    if not path.exists():
        raise DataError(f"There is no {path}. Expected a file of training data, or a BEIR folder.")
    if path.suffix == RECORDED:
        return _file(setting, "interactions", _recorded(setting))
    if how.kind in (None, "qrels") and (qrels := qrels_file(path)) is not None:
        judged, dropped = read_graded(qrels, setting.texts)
        made = made_of_grades(judged, how, dropped)
        of_file = how.model_copy(update={"path": qrels})
        return _file(replace(setting, how=of_file), "qrels", made)
    return _rows(setting, dead)


def _recorded(setting: Setting) -> Made:
    with closing(Interactions(setting.how.path)) as interactions:
        searches = list(recorded_searches(interactions))
    if not searches:
        raise DataError(
            f"{setting.how.path} holds no search whose query was logged. Queries are logged with "
            "[rollout] log_queries = true (after redaction, see docs/rollout.md)."
        )
    return made_of_searches(searches, setting)


def _file(setting: Setting, kind: DataKind, made: Made, bad: int = 0) -> DataFile:
    path = str(setting.how.path)
    data = TrainingSet(made.kind, made.rows, path, made.lines, made.weights)
    return DataFile(path, kind, dict(setting.roles), data, bad, made.dropped, made.notes)


def _rows(setting: Setting, dead: DeadLetterSink | None) -> DataFile:
    path, how = setting.how.path, setting.how
    batches = _batches(path)
    ahead: list[Batch] = []
    for batch in batches:
        ahead.append(batch)
        if batch.rows:
            break
    if not ahead or not ahead[-1].rows:
        first = next((bad for batch in ahead for bad in batch.bad), None)
        why = f" The first row is bad: line {first.line}: {first.reason}." if first else ""
        raise DataError(f"{path}: expected rows of training data; there are none.{why}")
    rows = [fields for _, fields in ahead[-1].rows]
    kind, roles = tell(path, rows, how.kind, how.columns)
    setting = Setting(how, roles, setting.clicks, setting.texts)
    taking = _Taking(path, collector(kind, setting), dead)
    for batch in chain(ahead, batches):
        taking.take(batch)
    made = taking.finish()
    return _file(setting, made.kind if kind in ("pairs", "triplets") else kind, made, taking.bad)


def _batches(path: Path) -> Iterator[Batch]:
    name = path.name.lower()
    reader = next((READERS[suffix] for suffix in READERS if name.endswith(suffix)), None)
    if reader is None:
        raise DataError(
            f"{path}: expected a file of training data that ends in {', '.join(READERS)}, "
            "judgements (BEIR or TREC), a BEIR folder or interactions.db; got "
            f"{path.suffix or 'no suffix'!r}."
        )
    try:
        yield from reader(path)
    except (OSError, EOFError, zlib.error) as error:  # of gzip, too
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read: {why}.") from None


@dataclass(slots=True)
class _Taking:
    """Rows to the collector, bad ones to the dead letters, dropped ones counted."""

    path: Path
    collector: Collector
    dead: DeadLetterSink | None
    bad: int = 0
    good: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    first: str = ""

    def take(self, batch: Batch) -> None:
        bad = list(batch.bad)
        for line, fields in batch.rows:
            try:
                self.collector.add(line, fields)
            except Dropped as reason:
                self.dropped[str(reason)] += 1
            except ValueError as error:
                bad.append(BadRow(line, str(error), repr(fields)))
        for row in sorted(bad, key=lambda item: item.line):
            self._refuse(row)
        good = len(batch.rows) + len(batch.bad) - len(bad)
        self.good += good
        if self.dead is not None:
            self.dead.ok(good)

    def _refuse(self, row: BadRow) -> None:
        if self.dead is None:
            raise DataError(f"{self.path}:{row.line}: {row.reason}.")
        self.bad += 1
        self.first = self.first or f"line {row.line}: {row.reason}"
        self.dead.add(file=self.path.name, line=row.line, reason=row.reason, row=row.row)

    def finish(self) -> Made:
        if not self.good:
            raise DataError(f"{self.path}: no row could be used. The first one is {self.first}.")
        made = self.collector.finish()
        if not made.rows:
            raise DataError(
                f"{self.path}: no row is left to train on; "
                + "; ".join(f"{count:,} with {reason}" for reason, count in self.dropped.items())
            )
        return Made(
            made.kind, made.rows, made.lines, made.weights,
            {**self.dropped, **made.dropped}, made.notes,
        )  # fmt: skip


def read_examples(path: Path, dead: DeadLetterSink | None = None) -> list[TrainingExample]:
    """The queries with documents of a file that holds such, of whatever kind. See `read_data`."""
    data = read_data(DataSettings(path=path), dead).data
    rows = [row for row in data.rows if isinstance(row, TrainingExample)]
    if not rows:
        raise DataError(f"{path} holds rows of kind {data.kind!r}; expected pairs or triplets.")
    return rows
