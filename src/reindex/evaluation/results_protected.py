"""What a comparison found of the queries whose answers must stay."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ProtectedRow:
    """One protected query; ``lost`` are those of its documents that are not in the first ``k``."""

    query: str
    k: int
    documents: tuple[str, ...]
    lost_live: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProtectedReport:
    """All protected queries that do not answer as they must, on either side.

    ``failed`` answer right on live alone, ``already`` on neither side, ``mended`` on the candidate
    alone.
    """

    queries: int
    failed: tuple[ProtectedRow, ...] = field(default=())
    already: tuple[ProtectedRow, ...] = field(default=())
    mended: tuple[ProtectedRow, ...] = field(default=())
