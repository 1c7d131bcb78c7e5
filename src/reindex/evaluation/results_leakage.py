"""What of the judged set a candidate was trained on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Leak:
    """A judged query that a model was trained on; ``similarity`` 1.0 is the very same words."""

    query: str
    text: str
    similarity: float
    version: str


@dataclass(frozen=True, slots=True)
class LeakageReport:
    """Judged queries, and answers of judged queries, in the training of a version and its bases.

    ``near`` and ``positives`` are None where a training kept nothing to tell them by.
    ``positives`` are judged queries of which a relevant document was a training positive.
    """

    queries: int
    versions: tuple[str, ...]
    exact: tuple[Leak, ...] = ()
    near: tuple[Leak, ...] | None = ()
    positives: tuple[Leak, ...] | None = ()
