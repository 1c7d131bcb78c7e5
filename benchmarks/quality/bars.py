"""The bars: what is to be reached, computed from figures, none of them written down here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from recipes import HARD, IN_BATCH, LARGE, LONGER

Figures = Mapping[str, Mapping[str, float]]
"""model -> figure (``recall@10``, ``recall@10/128``, ``ndcg@10``, ``int8/fp32``) -> value."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: what it asks for, how to compute it, and what it must at least be."""

    name: str
    goal: float
    compute: Callable[[Figures], float]


def _over(figure: str, model: str, other: str) -> Callable[[Figures], float]:
    return lambda found: found[model][figure] / found[other][figure] - 1


def _kept(dim: int) -> Callable[[Figures], float]:
    return lambda found: found[LONGER][f"recall@10/{dim}"] / found[LONGER]["recall@10"]


BARS = (
    Bar("recall@10 over the base", 0.10, _over("recall@10", LONGER, "base")),
    Bar("nDCG@10 over the base", 0.25, _over("ndcg@10", LONGER, "base")),
    Bar("recall@10 kept by 64 of 384 dimensions", 0.99, _kept(64)),
    Bar("recall@10 kept by 128 of 384 dimensions", 0.995, _kept(128)),
    Bar("recall@10 of int8 over fp32", 0.998, lambda found: found[LONGER]["int8/fp32"]),
    Bar("nDCG@10 of hard negatives over in-batch", 0.02, _over("ndcg@10", HARD, IN_BATCH)),
    Bar("nDCG@10 of a cached 1,024 over 64", 0.0, _over("ndcg@10", LARGE, IN_BATCH)),
)


def verdicts(found: Figures) -> list[list[str]]:
    """A row per bar: what was reached, what is asked for, and whether it is met."""
    rows = []
    for bar in BARS:
        try:
            reached = bar.compute(found)
        except KeyError:
            rows.append([bar.name, "", f"{bar.goal:+.1%}", "not measured"])
            continue
        met = reached >= bar.goal if bar.goal else reached > 0
        rows.append([bar.name, f"{reached:+.2%}", f"{bar.goal:+.1%}", "met" if met else "MISSED"])
    return rows
