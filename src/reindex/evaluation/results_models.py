"""Models without a collection, judged on a subset: the rows that a comparison keeps of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reindex.evaluation.resampling import PairedDifference
from reindex.evaluation.results_family import Family
from reindex.evaluation.statistics import Judged

Role = Literal["live", "version", "model"]


@dataclass(frozen=True, slots=True)
class SubsetRow:
    """One model's exact search of the subset.

    ``means`` is measure -> mean. ``difference`` is the judged metric's against live's row, by the
    comparison's own confidence; None for live. ``judged`` and ``family`` are of models alone: the
    verdict on a version is that of its whole collection. ``prompts`` are put before queries and
    before documents; ``max_length`` is in tokens, None where it is the version's own affair.
    """

    name: str
    role: Role
    dim: int
    means: dict[str, float]
    difference: PairedDifference | None = None
    judged: Judged | None = None
    family: Family | None = None
    prompts: tuple[str, str] = ("", "")
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class ModelsReport:
    """Live, candidates and unregistered models on the same documents and queries, exactly.

    ``documents`` were searched; ``queries`` are those of ``of_queries`` all of whose relevant
    documents are among them, in ``groups`` independent groups.
    ``judged_set`` is the comparison's, of which they are a part.
    """

    metric: str
    documents: int
    queries: int
    of_queries: int
    groups: int
    rows: tuple[SubsetRow, ...]
    judged_set: str = ""

    def models(self) -> tuple[SubsetRow, ...]:
        """The rows of models that are no versions."""
        return tuple(row for row in self.rows if row.role == "model")
