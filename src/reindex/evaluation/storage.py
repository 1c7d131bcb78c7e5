"""What more, or fewer, dimensions cost and buy: storage and time against the judged change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reindex.evaluation.statistics import percent, percent_range
from reindex.measures import label

if TYPE_CHECKING:
    from reindex.evaluation.results import Comparison, SideRecord

_BYTES = 4
"""Of a component, float32; what a store's quantization saves beside it is not counted."""


def stored_bytes(side: SideRecord) -> int:
    """Bytes of a collection's vectors: the full ones, and the first stage's where there is one."""
    return side.points * (side.dim + (side.prefix_dim or 0)) * _BYTES


def storage_in_words(comparison: Comparison) -> str:
    """Whether the candidate's vectors of another size pay; empty where both have the same.

    More storage pays where the judged change is shown to be above zero; less storage where it is
    not shown to be below.
    """
    live, candidate, d = comparison.live, comparison.candidate, comparison.judged
    if live.dim == candidate.dim or not live.points:
        return ""
    before, after = stored_bytes(live), stored_bytes(candidate)
    slower = comparison.candidate_latency.p50_ms - comparison.live_latency.p50_ms
    per_million = (after / max(candidate.points, 1) - before / live.points) * 1e6 / 1e9
    cost = (
        f"{candidate.dim} dimensions against {live.dim}: {after / before:.2g} times the vectors' "
        f"storage ({after / 1e9:.2g} GB against {before / 1e9:.2g} GB, "
        f"{per_million:+.2g} GB per million documents), {slower:+.1f} ms per query at the median"
    )
    change = (
        f"{label(comparison.metric)} changes by {percent(d.relative)} "
        f"({percent_range(d.low, d.high)})"
    )
    if after > before:
        pays = d.low > 0
        verdict = "the storage buys a gain" if pays else "no gain is shown for the storage"
    else:
        pays = d.high >= 0
        verdict = "no loss is shown for what is saved" if pays else "what is saved costs a loss"
    return f"{cost}. {change}: {verdict}."
