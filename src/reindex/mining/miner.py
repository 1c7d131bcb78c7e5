"""Mining: training examples and a corpus -> the examples with as many negatives each."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reindex.config.training_negatives import NegativeSettings
from reindex.errors import DataError
from reindex.mining.candidates import Candidates, random_candidates
from reindex.mining.judging import CrossJudge, Judge, ModelJudge, PairScorer
from reindex.mining.lexical import bm25_candidates
from reindex.mining.nearest import nearest_candidates
from reindex.mining.phases import arranged
from reindex.mining.questions import Questions
from reindex.mining.results import FILL, Mined, MiningReport, Pick, Spread
from reindex.mining.selecting import Bounds, Pool, Row, Selector, examples
from reindex.mining.snapshot import Snapshot, text_key
from reindex.protocols import Encoder, Progress
from reindex.records import TrainingExample, Vector
from reindex.vector_cache import VectorCache

_DRAWS = 50
"""Random documents that are tried for one place before it stays empty."""
_QUERIES = 512


@dataclass(frozen=True, slots=True)
class Request:
    """What to mine.

    Attributes:
        examples: the pairs; negatives that they bring come first, and count.
        positives: `query_hash` of a query -> texts that answer it, beside the examples' own: what
            was sampled away or is judged elsewhere is no negative either.
    """

    examples: Sequence[TrainingExample]
    settings: NegativeSettings
    seed: int
    positives: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Means:
    """What to mine with; each is None where it is not needed.

    Attributes:
        encoder: finds dense candidates and judges.
        search: finds dense candidates in the encoder's place: (queries, snapshot, depth).
        scorer: judges in the encoder's place; ``scores`` keeps its scores.
    """

    encoder: Encoder | None = None
    search: Callable[[Sequence[str], Snapshot, int], Candidates] | None = None
    scorer: PairScorer | None = None
    scores: VectorCache | None = None


def mine(request: Request, snapshot: Snapshot, means: Means, progress: Progress) -> Mined:
    """Mine negatives for every example.

    Raises:
        DataError: no row is left.
        MissingExtra: bm25s is not installed.
    """
    started = time.monotonic()
    job = _Mining(request, snapshot, means, progress)
    rows = job.run()
    report = job.report(rows)
    report.seconds = round(time.monotonic() - started, 3)
    if not rows:
        raise DataError(
            f"None of {report.pairs:,} pairs has {job.needed} negatives: {_refusals(report)}. "
            'Widen train.negatives.depth, lower the margins, or set when_short = "random".'
        )
    return Mined(tuple(map(job.finished, rows)), report)


def _refusals(report: MiningReport) -> str:
    counts = [
        f"{count:,} of {origin} refused ({reason})"
        for origin, reasons in report.refused.items()
        for reason, count in reasons.items()
    ]
    return ", ".join(counts) or "the sources found none"


class _Mining:
    def __init__(
        self, request: Request, snapshot: Snapshot, means: Means, progress: Progress
    ) -> None:
        self.request, self.settings, self.snapshot = request, request.settings, snapshot
        self.means, self.progress = means, progress
        self.questions = Questions.of(request.examples, request.positives)
        self.needed = self.settings.number * self.settings.phases
        self.vectors = None if means.encoder is None else self._embed(means.encoder)
        self.judge = self._judge()
        own = [
            frozenset(map(int, snapshot.find([text_key(text) for text in texts])))
            for texts in self.questions.positives
        ]
        self.selector = Selector(snapshot, own, self.questions.positives)
        self.left_out = 0

    def _embed(self, encoder: Encoder) -> Vector:
        texts, parts = self.questions.texts, []
        for start in range(0, len(texts), _QUERIES):
            parts.append(encoder.encode_queries(texts[start : start + _QUERIES]))
            self.progress("embed queries", min(start + _QUERIES, len(texts)), len(texts))
        return np.concatenate(parts)

    def _judge(self) -> Judge | None:
        means = self.means
        if means.scorer is not None and means.scores is not None:
            texts = self.questions.texts
            return CrossJudge(means.scorer, texts, self.snapshot, means.scores, self.progress)
        if not self.settings.judges or means.encoder is None or self.vectors is None:
            return None
        return ModelJudge(means.encoder, self.vectors, self.snapshot, self.progress)

    def run(self) -> list[Row]:
        """The rows that have enough negatives, arranged by phase."""
        judged = ("dense",) if isinstance(self.judge, ModelJudge) else ()
        skip = self.settings.skip
        pool = Pool.of(
            [item.without_first(skip) for item in self._sources()], skip=skip, judged=judged
        )
        if self.settings.sampling == "random":
            pool = pool.shuffled(self.request.seed)
        rows = self._rows()
        for row in rows:
            self.selector.give(row, self.needed)
        wanted = self.needed if self.settings.phases == 1 else None
        self.selector.from_pool(rows, pool, self.judge, wanted=wanted)
        if self.settings.when_short == "random":
            self._fill(rows)
        full = [row for row in rows if len(row.taken) >= self.needed]
        for row in full:
            row.taken = arranged(row.taken, self.settings.number, self.settings.phases)
        self.left_out = len(rows) - len(full)
        return full

    def _sources(self) -> list[Candidates]:
        return [self._candidates(name) for name in self.settings.sources]

    def _candidates(self, name: str) -> Candidates:
        depth = min(self.settings.depth + self.settings.skip, len(self.snapshot))
        queries, snapshot = self.questions.texts, self.snapshot
        if name == "random":
            return random_candidates(len(queries), len(snapshot), depth, self.request.seed)
        if name == "bm25":
            return bm25_candidates(queries, snapshot, depth, self.progress)
        if self.means.search is not None:
            return self.means.search(queries, snapshot, depth)
        assert self.means.encoder is not None
        assert self.vectors is not None
        return nearest_candidates(self.means.encoder, self.vectors, snapshot, depth, self.progress)

    def _rows(self) -> list[Row]:
        pairs = list(zip(self.request.examples, self.questions.of_row, strict=True))
        if self.judge is None:
            return [Row(example, query, None, None) for example, query in pairs]
        texts = [example.positive for example, _ in pairs]
        scores = self.judge.texts(np.array(self.questions.of_row), texts)
        return [
            Row(example, query, float(score), Bounds.of(self.settings, float(score)))
            for (example, query), score in zip(pairs, scores, strict=True)
        ]

    def _fill(self, rows: Sequence[Row]) -> None:
        """Random documents in the empty places; they are not judged."""
        dice = random.Random(f"{self.request.seed}-fill")  # noqa: S311
        for row in rows:
            for _ in range(_DRAWS * (self.needed - len(row.taken))):
                if len(row.taken) >= self.needed:
                    break
                number = dice.randrange(len(self.snapshot))
                if number not in row.seen:
                    self.selector.offer(row, Pick(number, FILL, 0))

    def finished(self, row: Row) -> TrainingExample:
        """The row with the texts of its negatives."""
        unread = iter(self.snapshot.texts(p.number for p in row.taken if p.text is None))
        texts = [next(unread) if pick.text is None else pick.text for pick in row.taken]
        return TrainingExample(row.example.anchor, row.example.positive, tuple(texts))

    def report(self, rows: Sequence[Row]) -> MiningReport:
        """Counts of all rows, distributions of those that are left."""
        report = MiningReport(
            pairs=len(self.request.examples),
            rows=len(rows),
            left_out=self.left_out,
            documents=len(self.snapshot),
            number=self.settings.number,
            phases=self.settings.phases,
            refused={origin: dict(count) for origin, count in self.selector.refused.items()},
            positives=Spread.of([row.score for row in rows if row.score is not None]),
            examples=examples(rows, self.snapshot),
            suspects=tuple(self.selector.suspects),
        )
        report.count(pick for row in rows for pick in row.taken)
        return report
