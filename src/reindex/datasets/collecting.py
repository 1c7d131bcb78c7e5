"""Rows of one file, taken one after another, and what is made of them at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from reindex.config.training_data import ClickSettings, DataKind, DataSettings
from reindex.corpus.readers import Fields
from reindex.corpus.training_sets import Row, RowKind
from reindex.datasets.click_rows import SearchRows
from reindex.datasets.clicks import LoggedSearch, pairs_of_clicks
from reindex.datasets.forms import JUDGED, SCORE, WEIGHT, Roles, as_grade, unread
from reindex.datasets.graded import Graded, Weighted, pairs_of
from reindex.datasets.ids import Texts
from reindex.datasets.qrels import with_texts
from reindex.datasets.rows import MAKERS, label_of, number, one_text, texts, weight_of
from reindex.errors import DataError
from reindex.records import ScoredPair, TrainingExample

UNREAD = (
    "the column {} says nothing here: every row is taken as relevant. If it says how relevant: "
    'kind = "scored", or "graded" where it counts from 0, or is true and false'
)


MOST_OFTEN = 1_000
"""A row is drawn at most this many times as often as another: it is held as often."""

TWICE = "another judgement of the same pair has another grade; the highest counts"


class CorpusAlone(DataError):
    """A file of documents without queries."""


@dataclass(frozen=True, slots=True)
class Made:
    """Rows to train on with their lines and weights, and what is to be said of them."""

    kind: RowKind
    rows: Sequence[Row]
    lines: Sequence[int]
    weights: Sequence[float] = ()
    dropped: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """What a collector knows of its file."""

    how: DataSettings
    roles: Roles
    clicks: ClickSettings
    texts: Texts


class Collector(Protocol):
    """Takes the rows of a file."""

    def add(self, line: int, fields: Fields) -> None:
        """Take a row. Raises ValueError: it is bad. Dropped: it is not to be used."""

    def finish(self) -> Made:
        """What was made of all rows. Raises DataError: they give nothing."""


@dataclass(slots=True)
class _Plain:
    """Kinds whose rows stand for themselves."""

    setting: Setting
    kind: DataKind
    rows: list[Row] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    unread: str = ""

    def add(self, line: int, fields: Fields) -> None:
        if self.kind == "pairs" and not self.unread:
            self.unread = next(iter(unread(fields, self.setting.roles, (*JUDGED, *SCORE))), "")
        weight = weight_of(fields, self.setting.roles)
        made = MAKERS[self.kind](fields, self.setting.roles, self.setting.how)
        self.rows.extend(made)
        self.lines.extend([line] * len(made))
        self.weights.extend([weight] * len(made))

    def finish(self) -> Made:
        kind = _row_kind(self.kind, self.rows)
        notes = (UNREAD.format(self.unread),) if self.unread and kind == "pairs" else ()
        return self.made(kind, self.rows, *notes)

    def made(self, kind: RowKind, rows: Sequence[Row], *notes: str) -> Made:
        """The rows with their weights, where these differ. Raises DataError: by too much."""
        low, high = min(self.weights, default=1.0), max(self.weights, default=1.0)
        if low == high:
            return Made(kind, rows, self.lines, notes=notes)
        column = self.setting.roles[WEIGHT]
        if high > MOST_OFTEN * low:
            raise DataError(
                f"{self.setting.how.path}: {column} is from {low:g} to {high:g}; expected weights "
                f"of which none is more than {MOST_OFTEN:,} times another. If the column says "
                "something else than how often a row is drawn, rename it."
            )
        told = f"rows are drawn by {column}, which is from {low:g} to {high:g}"
        return Made(kind, rows, self.lines, self.weights, notes=(*notes, told))


def _row_kind(kind: DataKind, rows: Sequence[Row]) -> RowKind:
    if kind in ("scored", "nli", "labelled", "classes"):
        return kind
    return "triplets" if any(isinstance(row, TrainingExample) and row.negatives for row in rows) \
        else "pairs"  # fmt: skip


@dataclass(slots=True)
class _Scored(_Plain):
    """Scores as they stand until all are known, then from 0 to 1."""

    def finish(self) -> Made:
        pairs = [row for row in self.rows if isinstance(row, ScoredPair)]
        if not pairs:
            return self.made("scored", pairs)
        asked = self.setting.how.score_range
        low, high = asked or _range([row.score for row in pairs])
        strange = next((row for row in pairs if not low <= row.score <= high), None)
        if strange is not None:
            line = self.lines[pairs.index(strange)]
            wanted = f"from {low:g} to {high:g}" if asked else "from 0 to 1, or from 0 to 5"
            raise DataError(
                f"{self.setting.how.path}:{line}: expected scores {wanted}, got {strange.score:g}. "
                "Say what is possible: score_range = [lowest, highest]."
            )
        rows = [
            ScoredPair(row.first, row.second, (row.score - low) / (high - low)) for row in pairs
        ]
        return self.made("scored", rows, f"scores are from {low:g} to {high:g}")


def _range(scores: Sequence[float]) -> tuple[float, float]:
    return (0.0, 1.0) if max(scores) <= 1 else (0.0, 5.0)


@dataclass(slots=True)
class _Graded:
    """Judged texts, or ids of them."""

    setting: Setting
    ids: bool = False
    judged: list[Graded] = field(default_factory=list)

    def add(self, line: int, fields: Fields) -> None:
        roles = self.setting.roles
        if self.ids:
            query, documents = (
                label_of(fields, roles["query"]),
                [label_of(fields, roles["document"])],
            )
        else:
            query, documents = one_text(fields, roles["anchor"]), texts(fields, roles["positive"])
        if not documents:
            raise ValueError(f"no text in {roles['positive']}")
        grade = number(fields, roles["grade"], as_grade)
        self.judged.extend(Graded(query, document, grade, line) for document in documents)

    def finish(self) -> Made:
        how, judged, dropped = self.setting.how, self.judged, dict[str, int]()
        if self.ids:
            judged, dropped = with_texts(judged, self.setting.texts, how.path)
        return made_of_grades(judged, how, dropped)


def made_of_grades(judged: Sequence[Graded], how: DataSettings, dropped: dict[str, int]) -> Made:
    """Pairs of graded texts. Raises DataError: nothing is relevant."""
    found = pairs_of(judged, min_grade=how.min_grade, by_grade=how.by_grade)
    if not found.rows:
        raise DataError(
            f"{how.path}: expected grades of {how.min_grade} or more; the highest of "
            f"{len(judged):,} is {max((item.grade for item in judged), default=0):g}."
        )
    grades = Counter(item.grade for item in judged)
    counts = ", ".join(f"{grade:g}: {count:,}" for grade, count in sorted(grades.items()))
    if found.twice:
        dropped = {**dropped, TWICE: found.twice}
    return _weighted(found, dropped, f"judgements by grade: {counts}")


def _weighted(found: Weighted, dropped: dict[str, int], *notes: str) -> Made:
    alike = len({*found.weights}) == 1
    return Made(
        _row_kind("pairs", found.rows), found.rows, found.lines,
        () if alike else found.weights, dropped, notes,
    )  # fmt: skip


@dataclass(slots=True)
class _Log:
    """Logged searches."""

    setting: Setting
    rows: SearchRows

    def add(self, line: int, fields: Fields) -> None:
        self.rows.add(line, fields)

    def finish(self) -> Made:
        return made_of_searches(self.rows.searches, self.setting)


def made_of_searches(searches: Sequence[LoggedSearch], setting: Setting) -> Made:
    """Pairs of logged searches, whose documents are ids or texts. Raises DataError."""
    wanted = {item.document for search in searches for item in search.results}
    known = setting.texts.documents(wanted)
    if not known:
        if not any(" " in document for document in wanted):
            raise DataError(
                f"{setting.how.path}: the documents look like ids, for example "
                f"{min(wanted, default='')!r}, and none is known. Name the file that they are of: "
                "documents, or use it in a project whose source has them."
            )
        known = {document: document for document in wanted}
    found = pairs_of_clicks(searches, setting.clicks, known)
    clicks = sum(item.clicked for search in searches for item in search.results)
    unknown = len(wanted) - len(known)
    return _weighted(
        found,
        {"no text for the document": unknown} if unknown else {},
        f"{len(searches):,} searches with {clicks:,} clicks gave {len(found.rows):,} pairs",
    )


def collector(kind: DataKind, setting: Setting) -> Collector:
    """What takes the rows of a kind. Raises CorpusAlone."""
    if kind == "corpus":
        raise CorpusAlone(
            f"{setting.how.path} holds documents and no queries: there is nothing to learn from "
            "yet. Queries for them can be made: reindex data synthesize. If a column holds "
            'queries, name it: columns = { anchor = "…", positive = "…" }.'
        )
    make = _COLLECTORS.get(kind)
    return _Plain(setting, kind) if make is None else make(setting)


_COLLECTORS: dict[DataKind, Callable[[Setting], Collector]] = {
    "scored": lambda setting: _Scored(setting, "scored"),
    "graded": _Graded,
    "qrels": lambda setting: _Graded(setting, ids=True),
    "interactions": lambda setting: _Log(setting, SearchRows(setting.roles)),
}
