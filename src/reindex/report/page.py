"""The report as one HTML page that needs nothing else: styles and drawings are in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reindex.corpus.excerpts import Excerpt
from reindex.evaluation.agreement import QUANTILES, Agreement
from reindex.evaluation.folds_words import choice_in_words, stability_in_words
from reindex.evaluation.front import Front
from reindex.evaluation.models_words import called, next_step, prompts_of, remark
from reindex.evaluation.results import Comparison, Example
from reindex.evaluation.results_queries import QueryResults, Results
from reindex.evaluation.statistics import percent
from reindex.evaluation.storage import storage_in_words
from reindex.measures import label
from reindex.registry.ledger import Version
from reindex.report import charts, rows
from reindex.report.gather import Report, named

EXAMPLES = 5
"""Wins, losses and most different queries that are shown with their results."""
FIRST = 5
"""Results of either side that are shown of each."""
VERDICTS = {
    "pass": ("Pass", "✓"),
    "fail": ("Fail", "✗"),
    "inconclusive": ("Inconclusive", "?"),
    "not judged": ("Not judged", "–"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One result in an example: its rank, document, texts, score and what was said of it."""

    rank: int
    document: str
    excerpt: Excerpt
    score: float
    grade: int | None
    elsewhere: int | None

    @property
    def judged(self) -> str:
        """In a word: relevant, not relevant, or not judged."""
        if self.grade is None:
            return "not judged"
        return "relevant" if self.grade > 0 else "not relevant"


@dataclass(frozen=True, slots=True)
class SideBySide:
    """A query with both sides' first results; ``scores`` in the judged metric, where judged."""

    text: str
    scores: tuple[float, float] | None
    agreement: float
    live: tuple[Shown, ...]
    candidate: tuple[Shown, ...]
    missed: tuple[tuple[str, Excerpt], ...]


WORDS = {
    "choice": choice_in_words, "stability": stability_in_words, "models": remark,
    "called": called, "prompts": prompts_of, "next": next_step,
}  # fmt: skip


def render(report: Report) -> str:
    """The page. Everything that came from documents or queries is escaped."""
    return environment().get_template("report.html").render(**_context(report))


def environment(*before: BaseLoader) -> Environment:
    """The report's templates and filters; those that ``before`` finds come first."""
    made = Environment(
        loader=ChoiceLoader([*before, PackageLoader("reindex.report")]), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {"label": label, "named": named, "percent": percent, "moment": moment,
                     "storage": storage_in_words}  # fmt: skip
    return made


def _context(report: Report) -> dict[str, Any]:
    comparison = report.judged.comparison if report.judged else None
    unjudged = report.unjudged.comparison if report.unjudged and not comparison else None
    shown = comparison or unjudged
    agreement = shown.agreement if shown else None
    return {
        "report": report,
        "verdict": VERDICTS[report.verdict],
        "verdicts": VERDICTS,
        "c": comparison,
        "u": unjudged,
        "shown": shown,
        "agreement": agreement,
        "quantiles": [percent(share, sign=False).replace(".0", "") for share in QUANTILES],
        "charts": drawings(comparison, agreement, report.front),
        "metrics": rows.metrics(comparison) if comparison else [],
        "wordings": list(rows.wordings(comparison)) if comparison else [],
        "slices": rows.slices(report.figures, comparison.metric) if comparison else [],
        "folds": rows.folds(comparison.stability) if comparison else [],
        "models": rows.models(comparison.models) if comparison else [],
        "family": rows.family(report.family),
        "words": WORDS,
        "examples": _examples(comparison) if comparison else [],
        "different": _different(shown.results) if shown and shown.results else [],
        "lineage": [(version, list(_recipe(version))) for version in report.lineage],
        "figures": report.figures,
    }


DRAWINGS = ("scores", "per_query", "latency", "dimensions", "steps", "front")
"""All that a page may show; what was not measured is empty."""


def drawings(
    comparison: Comparison | None, agreement: Agreement | None, front: Front | None = None
) -> dict[str, Markup]:
    """The charts by name; what was not measured is empty."""
    drawn = {"scores": charts.scores(agreement)} if agreement else {}
    if comparison is not None:
        drawn["per_query"] = charts.per_query(comparison)
        drawn["latency"] = charts.by_latency(comparison)
        if comparison.subset is not None and len(comparison.subset.dimensions) > 1:
            drawn["dimensions"] = charts.by_dimension(comparison.subset, comparison.k)
        if comparison.steps is not None:
            drawn["steps"] = charts.by_step(comparison.steps)
    if front is not None:
        drawn["front"] = charts.by_front(front)
    shown = {name: Markup(svg) for name, svg in drawn.items()}  # noqa: S704 (escaped there)
    return dict.fromkeys(DRAWINGS, Markup()) | shown


def _examples(c: Comparison) -> list[tuple[str, list[SideBySide]]]:
    """Wins and losses; without their results where the comparison did not keep them."""
    results = c.results or Results(c.k, ())
    groups = (("Biggest wins", c.wins), ("Biggest losses", c.losses))
    return [
        (title, [_example(one, results) for one in examples[:EXAMPLES]])
        for title, examples in groups
        if examples
    ]


def _example(one: Example, results: Results) -> SideBySide:
    found = results.query(one.query) or QueryResults(one.query, one.text, 0, {}, {})
    return side_by_side(found, results, (one.live, one.candidate))


def _different(results: Results) -> list[SideBySide]:
    return [side_by_side(item, results, None) for item in results.most_different()[:EXAMPLES]]


def side_by_side(
    query: QueryResults, results: Results, scores: tuple[float, float] | None, first: int = FIRST
) -> SideBySide:
    """What both sides found for a query: the ``first`` results of each."""
    live, candidate = list(query.live), list(query.candidate)
    relevant = [document for document, grade in query.grades.items() if grade > 0]
    missed = [id for id in relevant if id not in query.documents and id in results.excerpts]
    return SideBySide(
        query.text,
        scores,
        query.agreement,
        tuple(_results(query, query.live, candidate, results, first)),
        tuple(_results(query, query.candidate, live, results, first)),
        tuple((id, results.excerpts[id]) for id in missed),
    )


def _results(
    query: QueryResults, found: dict[str, float], other: list[str], results: Results, first: int
) -> Iterator[Shown]:
    for rank, (document, score) in enumerate(list(found.items())[:first], start=1):
        yield Shown(
            rank,
            document,
            results.excerpts.get(document, Excerpt("", "")),
            score,
            query.grades.get(document),
            other.index(document) + 1 if document in other else None,
        )


def _recipe(version: Version) -> Iterator[tuple[str, str]]:
    """What decided the version, a line per entry, nested ones with their path; nothing twice."""
    lines = dict(_flat("", {**version.recipe, "metrics": version.metrics}))
    for path, value in lines.items():
        asked = path.removeprefix("lineage.hyperparameters.")
        if asked == path or lines.get(asked) != value:
            yield path, value


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(f"{path}.{key}" if path else str(key), item)
    elif value not in (None, "", [], ()):
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        yield path, shown if len(shown) <= 200 else f"{shown[:199]}…"


def moment(stamp: str | None) -> str:
    """A registry time for people: to the minute."""
    return f"{stamp[:16].replace('T', ' ')} UTC" if stamp else "–"
