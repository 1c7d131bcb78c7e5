"""How each collection is searched: what a build measured, or a plan that was frozen."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from reindex.registry import Registry
from reindex.registry.file import now
from reindex.registry.ledger import BuiltCollection

_COLUMNS = (
    "collection", "version", "build", "oversampling", "hnsw_ef", "k", "target", "recall",
    "writes", "who", "frozen_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What decides how a collection is searched beside its layout.

    ``hnsw_ef`` is None for the engine's default.
    """

    oversampling: int
    hnsw_ef: int | None = None

    def __str__(self) -> str:
        ef = "" if self.hnsw_ef is None else f", hnsw_ef {self.hnsw_ef}"
        return f"oversampling {self.oversampling}{ef}"


@dataclass(frozen=True, slots=True)
class ServingPlan:
    """A frozen point of a collection's front. ``recall`` is against exact search, at ``k``."""

    collection: str
    version: str
    build: str
    oversampling: int
    hnsw_ef: int | None
    k: int
    target: float
    recall: float
    writes: int
    who: str
    frozen_at: str = ""

    @property
    def settings(self) -> SearchSettings:
        """How it searches."""
        return SearchSettings(self.oversampling, self.hnsw_ef)


class ServingPlans:
    """The table ``serving_plans`` of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def of(self, collection: str) -> ServingPlan | None:
        """The collection's plan, if it is of its present build: another one has another layout."""
        columns = ", ".join(f"serving_plans.{name}" for name in _COLUMNS)
        row = self._registry.execute(
            f"SELECT {columns} FROM serving_plans JOIN collections ON name = collection "  # noqa: S608
            "AND collections.build = serving_plans.build WHERE collection = ?",
            [collection],
        ).fetchone()
        return None if row is None else ServingPlan(*row)

    def front_of(self, collection: str) -> dict[str, Any] | None:
        """What was measured before the present plan was frozen, as `freeze` got it."""
        if self.of(collection) is None:
            return None
        row = self._registry.execute(
            "SELECT front FROM serving_plans WHERE collection = ?", [collection]
        ).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def freeze(self, plan: ServingPlan, front: Any) -> ServingPlan:
        """Search the collection by ``plan`` from now on; ``front`` is kept as the evidence."""
        with self._registry.transaction():
            self.forget(plan.collection)
            row = {**asdict(plan), "frozen_at": now(), "front": json.dumps(front, sort_keys=True)}
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            self._registry.execute(
                f"INSERT INTO serving_plans ({names}) VALUES ({marks})",  # noqa: S608 (own names)
                tuple(row.values()),
            )
        found = self.of(plan.collection)
        return found or plan

    def confirm(self, collection: str, recall: float, writes: int) -> None:
        """The plan was measured again and holds."""
        with self._registry.transaction():
            self._registry.execute(
                "UPDATE serving_plans SET recall = ?, writes = ? WHERE collection = ?",
                (recall, writes, collection),
            )

    def forget(self, collection: str) -> bool:
        """Search by what the build measured again; returns whether there was a plan."""
        with self._registry.transaction():
            done = self._registry.execute(
                "DELETE FROM serving_plans WHERE collection = ?", [collection]
            )
            return done.rowcount > 0

    def settings_of(self, built: BuiltCollection) -> SearchSettings:
        """How a collection is searched: by its plan, else as its build measured."""
        plan = self.of(built.name)
        return plan.settings if plan else SearchSettings(built.first_stage)
