"""The rows of the registry as records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

PromotionKind = Literal["promote", "rollback"]

DEFAULT_OVERSAMPLING = 10
"""First-stage candidates per result until a build has measured what its collection needs."""


@dataclass(frozen=True, slots=True)
class Version:
    """An immutable embedding model. Paths are relative to the project's home."""

    name: str
    number: int
    base: str
    kind: str
    state: str
    checkpoint: str | None
    artifact: str | None
    space: str | None
    encoding: str | None
    dim: int | None
    recipe: dict[str, Any]
    metrics: dict[str, Any]
    report: dict[str, Any]
    created_at: str


@dataclass(frozen=True, slots=True)
class Run:
    """One training, export, build or comparison. ``rev`` is what a build stamps."""

    id: int
    kind: str
    version: str | None
    state: str
    pid: int
    host: str
    started_at: str
    finished_at: str | None
    details: dict[str, Any]
    rev: int


@dataclass(frozen=True, slots=True)
class BuiltCollection:
    """What the registry knows of a collection; ``writes`` counts every change ever made to it."""

    name: str
    version: str
    space: str
    encoding: str
    build: str
    layout: str
    prefix_dim: int | None
    source: str
    source_documents: int
    points: int
    complete: bool
    writes: int
    oversampling: int | None
    calibrated_writes: int
    created_at: str
    built_at: str | None

    @property
    def first_stage(self) -> int:
        """First-stage candidates per result: measured, or the default."""
        return self.oversampling or DEFAULT_OVERSAMPLING

    @property
    def coverage(self) -> float:
        """Share of the source's documents that the collection holds, by the last build's count."""
        if not self.complete:
            return 0.0
        return min(1.0, self.points / self.source_documents) if self.source_documents else 1.0


@dataclass(frozen=True, slots=True)
class StoredComparison:
    """A comparison as recorded. ``result`` is its JSON form without the per-query scores."""

    id: int
    live: str
    candidate: str
    live_collection: str
    live_build: str
    candidate_collection: str
    candidate_build: str
    candidate_encoding: str
    candidate_writes: int
    judged_set: str
    leaked: int
    verdict: str
    result: dict[str, Any]
    created_at: str


@dataclass(frozen=True, slots=True)
class Promotion:
    """One flip of the alias, or the intent to make it."""

    id: int
    kind: str
    alias: str
    from_collection: str | None
    to_collection: str
    version: str
    comparison: int | None
    forced: bool
    reason: str
    conditions: list[dict[str, Any]]
    who: str
    pid: int
    state: str
    created_at: str
    finished_at: str | None
