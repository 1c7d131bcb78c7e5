"""Live against candidate on the same judged queries, through the store as serving does it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reindex.config import EvaluationSettings, GateSettings
from reindex.config.conditions import measures_in
from reindex.errors import ComparisonError
from reindex.evaluation.agreement import agreement
from reindex.evaluation.baselines import bm25_row, import_bm25s, read_texts
from reindex.evaluation.bounds import bounds_of
from reindex.evaluation.metrics import answerable, depth_of
from reindex.evaluation.paired import Scored, stage_row, unjudged
from reindex.evaluation.protected import protected_queries, protected_report
from reindex.evaluation.results import BaselineRow, Comparison, Counts, SubsetReport
from reindex.evaluation.results_queries import Results
from reindex.evaluation.retrieval import (
    OpenSide,
    Runs,
    Side,
    measure_latency,
    missing_documents,
    open_side,
    runs_of,
)
from reindex.evaluation.slices import slice_report
from reindex.evaluation.steps import steps_between
from reindex.evaluation.subset import (
    Precision,
    Subset,
    dimension_rows,
    draw_subset,
    measure_precision,
    precision_rows,
)
from reindex.evaluation.variants import read_variants, variant_rows
from reindex.evaluation.verdicts import could_turn, judge_by, judged_rows
from reindex.measures import Measure, parse_measure, parse_measures
from reindex.protocols import Progress, Store, no_progress
from reindex.records import Document, Judgements

__all__ = ["Comparison", "Side", "compare"]

Documents = Callable[[], Iterable[Document]]


def compare(  # noqa: PLR0913 (what to compare, how to judge it, what to read beside it)
    store: Store,
    live: Side,
    candidate: Side,
    judgements: Judgements,
    settings: EvaluationSettings,
    gate: GateSettings,
    *,
    root: Path = Path(),
    documents: Documents | None = None,
    progress: Progress = no_progress,
    searched: dict[str, Runs] | None = None,
) -> Comparison:
    """Judge the candidate against live.

    Metrics and verdict are of search as it serves. ``root`` is where the variants' paths start
    from. ``documents`` streams the source for the fp32 and BM25 rows, which are left out without
    it; it is read once, and only where one of them is wanted. ``searched`` keeps live's runs by
    collection, for other candidates on the same queries.

    Raises:
        ComparisonError: no answerable query, one collection on both sides, or judgements whose
            ids the collections do not know.
        SpaceMismatch: a side's encoder did not write its collection.
        DataError: a variant's queries, or the protected ones, cannot be read.
        MissingExtra: ``settings.bm25`` without bm25s.
    """
    started = time.perf_counter()
    if live.collection == candidate.collection:
        raise ComparisonError(
            f"Live and candidate are the same collection, {live.collection}. Compare two versions."
        )
    judged = _answerable(judgements)
    sides = open_side(store, live), open_side(store, candidate)
    variants = read_variants(judged, settings, root)
    protected = protected_queries(judged, settings, root)
    if settings.bm25:
        import_bm25s()  # what cannot work fails before the searching starts
    metric = parse_measure(gate.metric, settings.k)
    asked = [*settings.metrics, str(metric), *measures_in(gate.conditions)]
    measures = parse_measures(asked, settings.k)
    kept = {} if searched is None else searched
    bench = _Bench(sides, judged, variants, settings, measures, progress, kept)
    found = bench.compare(gate, documents)
    found = replace(found, protected=protected_report(sides, protected))
    return replace(found, seconds=time.perf_counter() - started)


def _answerable(judgements: Judgements) -> Judgements:
    """The queries that have a relevant document, each once."""
    qrels = answerable(judgements.qrels)
    queries = {query.id: query for query in judgements.queries if query.id in qrels}
    if not queries:
        raise ComparisonError(
            f"None of the {len(judgements.queries)} queries has a relevant document (relevance of "
            "1 or more). Check that evaluation.queries and evaluation.qrels belong together."
        )
    return Judgements(tuple(queries.values()), {query: qrels[query] for query in queries})


@dataclass(frozen=True, slots=True)
class _Bench:
    """Both sides, opened, with what they are judged on."""

    sides: tuple[OpenSide, OpenSide]
    judged: Judgements
    variants: Mapping[str, Judgements]
    settings: EvaluationSettings
    measures: tuple[Measure, ...]
    progress: Progress
    searched: dict[str, Runs]

    def compare(self, gate: GateSettings, documents: Documents | None) -> Comparison:
        """Measure everything, then put it together."""
        settings, k, judged = self.settings, self.settings.k, self.judged
        missing = self._missing()
        measure = parse_measure(gate.metric, k)
        metric, runs = str(measure), self._runs(measure)
        scored = Scored.of(judged, runs[0], runs[1], self.measures, settings)
        difference = scored.difference(metric)
        bounds = bounds_of(runs[0], runs[1], judged, scored.groups, measure, settings, gate)
        outcome = could_turn(judge_by(gate, difference), bounds, gate)
        latency = measure_latency(*self.sides, judged.queries, k, self.progress)
        subset, texts = self._subset(documents)
        precision = self._precision(subset, texts)
        wins, losses = scored.examples(metric)
        return Comparison(
            live=self.sides[0].record(),
            candidate=self.sides[1].record(),
            metric=metric,
            verdict=outcome.verdict,
            reason=outcome.reason,
            k=k,
            queries=len(judged.queries),
            groups=difference.groups,
            metrics=judged_rows(scored.rows, gate),
            live_stage=stage_row(runs[0], judged.qrels),
            candidate_stage=stage_row(runs[1], judged.qrels),
            live_latency=latency[0],
            candidate_latency=latency[1],
            subset=self._subset_report(subset, precision[1]),
            baselines=self._baselines(texts),
            variants=variant_rows(
                self.sides, self.variants, self.measures, settings, self.progress
            ),
            unjudged=unjudged(runs[0].served, runs[1].served, judged.qrels),
            bounds=bounds,
            missing=missing,
            wins=wins,
            losses=losses,
            judged_set=judged_set_hash(judged),
            settings=settings.model_dump(mode="json"),
            gate=gate.model_dump(mode="json"),
            seconds=0.0,
            note=settings.note,
            warnings=tuple(self._warnings(missing, subset, texts)),
            scores=scored.pairs(),
            stability=scored.stability(metric),
            slices=slice_report(scored, self.sides),
            agreement=agreement(runs[0].scores, runs[1].scores, scored.groups, settings),
            results=Results.of(
                judged.queries, (runs[0].scores, runs[1].scores), scored.groups, k, judged.qrels
            ),
            steps=steps_between(
                self.sides, runs, precision, judged, scored.groups, measure, settings
            ),
        )

    def _runs(self, measure: Measure) -> tuple[Runs, Runs]:
        """Both sides' searches; live's only where no candidate before this one asked for them."""
        live, candidate = self.sides
        name = live.side.collection
        if name not in self.searched:
            self.searched[name] = self._search(live, measure)
        return self.searched[name], self._search(candidate, measure)

    def _search(self, opened: OpenSide, measure: Measure) -> Runs:
        depth, queries = depth_of(self.measures), self.judged.queries
        return runs_of(
            opened, queries, self.settings.k, self.progress, depth=depth, judged=measure.k
        )

    @property
    def _fp32(self) -> bool:
        """Whether a side has a full-precision graph to be measured against."""
        return any(opened.side.fp32 for opened in self.sides)

    def _missing(self) -> Counts:
        relevant = sorted(
            {
                document
                for judged in self.judged.qrels.values()
                for document, grade in judged.items()
                if grade
            }
        )
        live, candidate = (missing_documents(side, relevant) for side in self.sides)
        return Counts(live, candidate, of=len(relevant))

    def _subset(self, documents: Documents | None) -> tuple[Subset, dict[str, str]]:
        """The judged subset, and the texts that the rows beside the comparison need."""
        limit, seed = self.settings.subset_documents, self.settings.seed
        self.progress("drawing a subset", 0, None)
        subset = draw_subset(*self.sides, self.judged, limit=limit, seed=seed)
        if documents is None or not (self.settings.bm25 or self._fp32):
            return subset, {}
        wanted = None if self.settings.bm25 else frozenset(subset.documents)
        return subset, read_texts(documents(), wanted, self.progress)

    def _precision(self, subset: Subset, texts: dict[str, str]) -> list[Precision | None]:
        """Of both sides: what the graph that serves loses against fp32, on the subset."""
        vectors = subset.live, subset.candidate
        return [
            measure_precision(side, stored, subset, texts, self.measures, self.progress)
            for side, stored in zip(self.sides, vectors, strict=True)
        ]

    def _subset_report(self, subset: Subset, precision: Precision | None) -> SubsetReport | None:
        if not subset.queries:
            return None
        live, candidate = self.sides
        return SubsetReport(
            documents=len(subset.documents),
            queries=len(subset.queries),
            dimensions=dimension_rows(live, candidate, subset, self.settings.k),
            precision=precision_rows(precision),
        )

    def _baselines(self, texts: dict[str, str]) -> tuple[BaselineRow, ...]:
        if not self.settings.bm25 or not texts:
            return ()
        self.progress("BM25", 0, None)
        return (bm25_row(texts, self.judged.queries, self.judged.qrels, self.measures),)

    def _warnings(self, missing: Counts, subset: Subset, texts: dict[str, str]) -> Iterator[str]:
        for opened, count in zip(self.sides, (missing.live, missing.candidate), strict=True):
            if count:
                yield (
                    f"{count:,} of {missing.of:,} relevant documents are not in "
                    f"{opened.side.collection}: it cannot find them."
                )
        live, candidate = (opened.info for opened in self.sides)
        if live.points != candidate.points:
            yield (
                f"{live.name} holds {live.points:,} points, {candidate.name} {candidate.points:,}: "
                "the two do not search the same documents."
            )
        if not subset.queries:
            yield "No query's relevant documents fit the subset: its rows are left out."
        if not texts and (self.settings.bm25 or self._fp32):
            yield "The documents' texts were not given: the fp32 and BM25 rows are left out."


def judged_set_of(judgements: Judgements) -> str:
    """`judged_set_hash` of those that have an answer: what a comparison on them would name."""
    return judged_set_hash(_answerable(judgements))


def judged_set_hash(judged: Judgements) -> str:
    """SHA-256 over the queries and judgements in a fixed order: which set was judged on."""
    content = {
        "queries": sorted((query.id, query.text) for query in judged.queries),
        "qrels": {query: dict(sorted(grades.items())) for query, grades in judged.qrels.items()},
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
