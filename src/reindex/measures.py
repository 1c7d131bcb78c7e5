"""Names of metrics with their cut-off: ``ndcg@10`` is nDCG over the first ten results."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

LABELS = {
    "recall": "recall",
    "ndcg": "nDCG",
    "mrr": "MRR",
    "map": "MAP",
    "precision": "precision",
    "f1": "F1",
    "hit_rate": "hit rate",
}
"""Every metric, and how people write it."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric and the number of results that it looks at."""

    metric: str
    k: int

    def __str__(self) -> str:
        return f"{self.metric}@{self.k}"

    @property
    def label(self) -> str:
        """For people: ``nDCG@10``."""
        return f"{LABELS[self.metric]}@{self.k}"


def parse_measure(text: str, k: int) -> Measure:
    """Read ``ndcg@10``, or ``ndcg`` for ``ndcg@k``; case and hyphens do not matter.

    Raises:
        ValueError: no such metric, or a cut-off that is no number of 1 or more.
    """
    name, at, cut = text.strip().lower().replace("-", "_").partition("@")
    if name not in LABELS:
        near = difflib.get_close_matches(name, LABELS, n=1)
        hint = f" Did you mean '{near[0]}{at}{cut}'?" if near else ""
        raise ValueError(f"There is no metric {text!r}; there are {', '.join(LABELS)}.{hint}")
    if at and not (cut.isdecimal() and int(cut)):
        raise ValueError(f"{text!r}: write a metric as 'name' or 'name@k', for example '{name}@10'")
    return Measure(name, int(cut) if at else k)


def parse_measures(texts: Iterable[str], k: int) -> tuple[Measure, ...]:
    """Several of them, each once, in their order."""
    return tuple(dict.fromkeys(parse_measure(text, k) for text in texts))


def label(name: str) -> str:
    """How people write a full name: ``ndcg@10`` as ``nDCG@10``."""
    metric, at, cut = name.partition("@")
    return f"{LABELS.get(metric, metric)}{at}{cut}"
