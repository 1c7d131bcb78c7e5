"""Mining: training examples and a corpus -> the examples with as many negatives each."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reindex.config.training_negatives import NegativeSettings
from reindex.errors import DataError
from reindex.mining.candidates import Candidates, random_candidates
from reindex.mining.judging import Judge, ModelJudge
from reindex.mining.lexical import bm25_candidates
from reindex.mining.nearest import nearest_candidates
from reindex.mining.results import Mined, MiningReport, Spread
from reindex.mining.selecting import Bounds, Pool, Row, Selector, show
from reindex.mining.snapshot import Snapshot, text_key
from reindex.protocols import Encoder, Progress
from reindex.records import TrainingExample, query_hash

_DRAWS = 50
"""Random documents that are tried for one place before it stays empty."""


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


def mine(
    request: Request, snapshot: Snapshot, encoder: Encoder | None, progress: Progress
) -> Mined:
    """Mine. ``encoder`` finds dense candidates and judges; None where neither is asked for.

    Raises:
        DataError: no row is left.
        MissingExtra: bm25s is not installed.
    """
    started = time.monotonic()
    job = _Mining(request, snapshot, encoder, progress)
    rows = job.run()
    report = job.report(rows)
    report.seconds = round(time.monotonic() - started, 3)
    if not rows:
        raise DataError(
            f"None of {report.pairs:,} pairs has {report.number} negatives: {_refusals(report)}. "
            'Widen train.negatives.depth, lower the margins, or set when_short = "random".'
        )
    return Mined(tuple(map(_finished, rows)), report)


def _finished(row: Row) -> TrainingExample:
    negatives = tuple(taken.text for _, taken in row.taken)
    return TrainingExample(row.example.anchor, row.example.positive, negatives)


def _refusals(report: MiningReport) -> str:
    counts = [
        f"{count:,} of {origin} refused ({reason})"
        for origin, reasons in report.refused.items()
        for reason, count in reasons.items()
    ]
    return ", ".join(counts) or "the sources found none"


class _Mining:
    def __init__(
        self, request: Request, snapshot: Snapshot, encoder: Encoder | None, progress: Progress
    ) -> None:
        self.request, self.snapshot, self.progress = request, snapshot, progress
        self.settings, self.encoder = request.settings, encoder
        keys = [query_hash(example.anchor) for example in request.examples]
        numbers = {key: at for at, key in enumerate(dict.fromkeys(keys))}
        self.of_row = [numbers[key] for key in keys]
        texts = dict(zip(keys, (item.anchor for item in request.examples), strict=True))
        self.queries = [texts[key] for key in numbers]
        self.positives = self._all_positives(numbers)
        self.vectors = None if encoder is None else encoder.encode_queries(self.queries)
        own = [frozenset(snapshot.find(list(map(text_key, item)))) for item in self.positives]
        self.selector = Selector(snapshot, own, self.positives, self.settings.number)
        self.left_out = 0

    def _all_positives(self, numbers: Mapping[str, int]) -> list[list[str]]:
        found: list[list[str]] = [[] for _ in numbers]
        for query, example in zip(self.of_row, self.request.examples, strict=True):
            found[query].append(example.positive)
        for key, texts in self.request.positives.items():
            if key in numbers:
                found[numbers[key]].extend(texts)
        return [list(dict.fromkeys(texts)) for texts in found]

    def run(self) -> list[Row]:
        judge = self._judge()
        pool = Pool.of(
            [found.without_first(self.settings.skip) for found in self._sources()],
            skip=self.settings.skip, judged=("dense",) if judge else (),
        )  # fmt: skip
        if self.settings.sampling == "random":
            pool = pool.shuffled(self.request.seed)
        rows = self._rows(judge)
        for row in rows:
            self.selector.give(row)
        self.selector.from_pool(rows, pool, judge)
        if self.settings.when_short == "random":
            self._fill(rows)
        full = [row for row in rows if len(row.taken) == self.settings.number]
        self.left_out = len(rows) - len(full)
        return full

    def _judge(self) -> Judge | None:
        if not self.settings.judges or self.encoder is None or self.vectors is None:
            return None
        return ModelJudge(self.encoder, self.vectors, self.snapshot, self.progress)

    def _sources(self) -> list[Candidates]:
        return [self._candidates(name) for name in self.settings.sources]

    def _candidates(self, name: str) -> Candidates:
        depth = min(self.settings.depth + self.settings.skip, len(self.snapshot))
        if name == "random":
            size = len(self.snapshot)
            return random_candidates(len(self.queries), size, depth, self.request.seed)
        if name == "bm25":
            return bm25_candidates(self.queries, self.snapshot, depth, self.progress)
        assert self.encoder is not None
        assert self.vectors is not None
        return nearest_candidates(self.encoder, self.vectors, self.snapshot, depth, self.progress)

    def _rows(self, judge: Judge | None) -> list[Row]:
        examples = self.request.examples
        if judge is None:
            return [
                Row(example, query, None, None)
                for example, query in zip(examples, self.of_row, strict=True)
            ]
        scores = judge.texts(np.array(self.of_row), [example.positive for example in examples])
        return [
            Row(example, query, float(score), Bounds.of(self.settings, float(score)))
            for example, query, score in zip(examples, self.of_row, scores, strict=True)
        ]

    def _fill(self, rows: Sequence[Row]) -> None:
        """Random documents in the empty places; they are not judged."""
        dice = random.Random(f"{self.request.seed}-fill")  # noqa: S311
        for row in rows:
            for _ in range(_DRAWS):
                if len(row.taken) == self.settings.number:
                    break
                number = dice.randrange(len(self.snapshot))
                if number not in row.seen:
                    taken = self.selector.offer(row, number, "fill", 0, None)
                    self.selector.tally.filled += taken

    def report(self, rows: Sequence[Row]) -> MiningReport:
        scores = [row.score for row in rows if row.score is not None]
        report = MiningReport(
            pairs=len(self.request.examples), rows=len(rows), left_out=self.left_out,
            documents=len(self.snapshot), number=self.settings.number,
            positives=Spread.of(scores), examples=show(rows),
            suspects=tuple(self.selector.suspects),
        )  # fmt: skip
        self.selector.tally.fill_in(report)
        return report
