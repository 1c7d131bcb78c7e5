"""The search box: live and a candidate side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reindex.corpus.excerpts import excerpt
from reindex.corpus.frameworks import stored_text
from reindex.evaluation.rankings import rank_biased_overlap
from reindex.records import Hit
from reindex.report.page import Shown
from reindex.server.dashboard.overview import other_side
from reindex.server.service import Service

MOST = 50


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, the version beside what is live (empty: the newest that is built), hits per side."""

    query: str
    beside: str
    k: int


@dataclass(frozen=True, slots=True)
class Beside:
    """Both sides' hits. ``candidates`` are the versions that can be chosen."""

    live: str | None
    candidate: str | None
    candidates: tuple[str, ...]
    left: tuple[Shown, ...] = ()
    right: tuple[Shown, ...] = ()
    agreement: float | None = None


def search(service: Service, asked: Asked) -> Beside:
    """Search both; it counts for no experiment and is not recorded.

    Raises:
        UnknownVersion: there is no such version. CollectionNotFound: it is not built.
    """
    project = service.project
    version = project.live_version()
    live = version.name if version else None
    candidates = tuple(other_side(project, live))
    chosen = asked.beside or (candidates[0] if candidates else None)
    if not asked.query:
        return Beside(live, chosen, candidates)
    left = _hits(service, live, asked)
    right = _hits(service, chosen, asked)
    orders = [str(hit.id) for hit in left], [str(hit.id) for hit in right]
    alike = rank_biased_overlap(*orders)
    return Beside(
        live, chosen, candidates, tuple(_shown(service, left, orders[1])),
        tuple(_shown(service, right, orders[0])), alike if left and right else None,
    )  # fmt: skip


def _hits(service: Service, version: str | None, asked: Asked) -> Sequence[Hit]:
    if version is None:
        return ()
    return service.retriever(version).search(asked.query, asked.k)


def _shown(service: Service, hits: Sequence[Hit], others: list[str]) -> list[Shown]:
    text_of = stored_text(service.project.settings.source)
    return [
        Shown(
            rank, str(hit.id), excerpt(hit.payload, text_of), hit.score, None,
            others.index(str(hit.id)) + 1 if str(hit.id) in others else None,
        )
        for rank, hit in enumerate(hits, start=1)
    ]  # fmt: skip
