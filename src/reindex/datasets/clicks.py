"""Logged searches -> pairs, with care for where a document stood when it was clicked.

People look at the first results most, so a click on the first says little and one on the eighth
says much. Three rules use what is left when that is taken into account:

- *Position-based model* (Craswell et al., WSDM 2008): rank r is looked at with probability
  ``(1 / r) ** position_bias``. A pair's weight is the sum of its clicks' inverse probabilities
  (inverse propensity weighting: Joachims, Swaminathan, Schnabel, WSDM 2017).
- *Click over skip above* (Joachims, KDD 2002; tested with eye tracking by Joachims et al., SIGIR
  2005): whoever clicked a document has looked at those above it and passed them over. A document
  that was passed over as often as it was clicked is no positive, however many clicks its rank
  brought it; one that was passed over and never clicked is a hard negative.
- *Dwell time* (Fox et al., TOIS 2005): from 30 seconds on, a click counts as satisfied. One that is
  not counts as nothing: neither for the document nor against it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reindex.config.training_data import ClickSettings
from reindex.datasets.graded import Weighted, even
from reindex.errors import DataError
from reindex.records import TrainingExample, query_hash


@dataclass(frozen=True, slots=True)
class Shown:
    """A result as it was shown: its rank from 1, whether it was clicked, seconds spent on it."""

    document: str
    position: int
    clicked: bool = False
    dwell: float | None = None


@dataclass(frozen=True, slots=True)
class LoggedSearch:
    """A query and what was shown for it; ``line`` is where it stands in its file."""

    query: str
    results: tuple[Shown, ...]
    line: int = 0


@dataclass(slots=True)
class _Query:
    """What was logged of one query, by document."""

    texts: Counter[str] = field(default_factory=Counter)
    clicks: Counter[str] = field(default_factory=Counter)
    touched: set[str] = field(default_factory=set)
    skips: Counter[str] = field(default_factory=Counter)
    weight: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    line: dict[str, int] = field(default_factory=dict)

    def add(self, search: LoggedSearch, settings: ClickSettings) -> None:
        self.texts[search.query] += 1
        satisfied = [item for item in search.results if _satisfied(item, settings)]
        for item in satisfied:
            self.clicks[item.document] += 1
            self.weight[item.document] += item.position**settings.position_bias
            self.line.setdefault(item.document, search.line)
        self.touched.update(item.document for item in search.results if item.clicked)
        lowest = max((item.position for item in satisfied), default=0)
        for item in search.results:
            if not item.clicked and item.position < lowest:
                self.skips[item.document] += 1

    def positives(self, least: int) -> list[str]:
        return [
            document
            for document, clicks in self.clicks.items()
            if clicks >= least and clicks > self.skips[document]
        ]

    def negatives(self, least: int) -> list[str]:
        return [
            document
            for document, skips in self.skips.most_common()
            if skips >= least and document not in self.touched
        ]


def _satisfied(item: Shown, settings: ClickSettings) -> bool:
    return item.clicked and (item.dwell is None or item.dwell >= settings.min_dwell)


def pairs_of_clicks(
    searches: Sequence[LoggedSearch], settings: ClickSettings, texts: Mapping[str, str]
) -> Weighted:
    """A pair per query and document that was clicked often enough, in the order of the log.

    Args:
        searches: queries that differ in case and white space alone are one.
        settings: how much evidence is asked for, and how strong the bias is.
        texts: document -> its text; documents without one are left out.

    Raises:
        DataError: there is not one such pair.
    """
    by_query: dict[str, _Query] = defaultdict(_Query)
    for search in searches:
        by_query[query_hash(search.query)].add(search, settings)
    rows: list[TrainingExample] = []
    weights: list[float] = []
    lines: list[int] = []
    for found in by_query.values():
        query = found.texts.most_common(1)[0][0]
        against = tuple(texts[d] for d in found.negatives(settings.min_clicks) if d in texts)
        for document in found.positives(settings.min_clicks):
            if document in texts:
                rows.append(TrainingExample(query, texts[document], against))
                weights.append(found.weight[document])
                lines.append(found.line[document])
    if not rows:
        raise DataError(_nothing(by_query.values(), settings))
    most = min(weights) * settings.max_weight
    return Weighted(
        even(rows, settings.negatives), [min(weight, most) for weight in weights], lines
    )


def _nothing(queries: Iterable[_Query], settings: ClickSettings) -> str:
    found = list(queries)
    clicks = sum(item.clicks.total() for item in found)
    most = max((max(item.clicks.values(), default=0) for item in found), default=0)
    return (
        f"No pair came of {len(found):,} queries with {clicks:,} clicks that count: no document "
        f"was clicked in {settings.min_clicks} searches of a query, and more often than it was "
        f"passed over (the most clicked one in {most}). Log more, or lower train.clicks.min_clicks "
        f"({settings.min_clicks}) or train.clicks.min_dwell ({settings.min_dwell:g} s)."
    )
