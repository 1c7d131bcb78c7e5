"""The registry: every version, run, collection, comparison and promotion of one project."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from reindex.errors import Conflict, RegistryError, UnknownVersion
from reindex.processes import process_place, process_started
from reindex.registry.file import RegistryFile, now
from reindex.registry.ledger import (
    BuiltCollection,
    Promotion,
    PromotionKind,
    Run,
    StoredComparison,
    Version,
)

REGISTRY_NAME = "registry.db"
_VERSION_NAME = re.compile(r"v[1-9][0-9]{0,5}")


class Registry(RegistryFile):
    """One project's registry. Safe to use from several threads and processes."""

    # -- versions and their lineage

    def add_version(
        self, *, base: str, kind: str, recipe: Mapping[str, Any], name: str | None = None
    ) -> Version:
        """Reserve the next version (``v1``, ``v2``, …), or the one of this name.

        Raises:
            RegistryError: ``name`` is no version's name. Conflict: it is taken.
        """
        with self.transaction():
            self.check_free(name)
            top = self.execute("SELECT max(number) FROM versions").fetchone()[0] or 0
            number = top + 1 if name is None else int(name[1:])
            self._insert(
                "versions", name=f"v{number}", number=number, base=base, kind=kind,
                state="created", recipe=dict(recipe), metrics={}, report={}, created_at=now(),
            )  # fmt: skip
            return self.version(f"v{number}")

    def check_free(self, name: str | None) -> None:
        """Whether `add_version` can take this name. Raises as that does."""
        if name is None:
            return
        if not _VERSION_NAME.fullmatch(name):
            raise RegistryError(f"A version's name is v1, v2, … (v999999 at most), not {name!r}.")
        if any(version.name == name for version in self.versions()):
            raise Conflict(f"There is a version {name} already, and versions do not change.")

    def update_version(self, name: str, **changes: Any) -> Version:
        """Record what a stage found out about a version."""
        self._update("versions", "name", name, **changes)
        return self.version(name)

    def version(self, name: str) -> Version:
        """One version. Raises UnknownVersion, naming those that exist."""
        found = self._row(Version, "SELECT * FROM versions WHERE name = ?", [name])
        if found is None:
            names = ", ".join(version.name for version in self.versions()) or "none yet"
            raise UnknownVersion(f"There is no version {name!r}. Versions: {names}.")
        return found

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        return self._rows(Version, "SELECT * FROM versions ORDER BY number")

    def record_training_queries(self, version: str, hashes: Iterable[str]) -> None:
        """Keep the hashes of the queries that a version was trained on."""
        self.execute_many(
            "INSERT OR IGNORE INTO training_queries VALUES (?, ?)",
            ((version, item) for item in hashes),
        )

    def trained_hashes(self, version: str) -> set[str]:
        """All hashes of the version's training queries."""
        sql = "SELECT hash FROM training_queries WHERE version = ?"
        return {row[0] for row in self.execute(sql, [version])}

    def trained_on(self, version: str, hashes: Iterable[str]) -> set[str]:
        """Those of ``hashes`` that are in the version's training lineage."""
        return self.trained_hashes(version) & set(hashes)

    def record_dataset(self, sha256: str, *, role: str, name: str, size: int) -> None:
        """Remember a dataset by content, once per role."""
        with self.transaction():
            self.execute(
                "INSERT OR IGNORE INTO datasets VALUES (?, ?, ?, ?, ?)",
                (sha256, role, name, size, now()),
            )

    def datasets(self) -> list[dict[str, Any]]:
        """All datasets, oldest first."""
        return self._dicts("SELECT * FROM datasets ORDER BY first_used")

    # -- runs

    def next_rev(self, count: int = 1) -> int:
        """Take the next ``count`` numbers of the one sequence of runs and single writes.

        Returns the last of them. Of two writes the one with the higher rev is the newer.
        """
        with self.transaction():
            sql = "UPDATE sequence SET rev = rev + ? RETURNING rev"
            return int(self.execute(sql, [count]).fetchall()[0][0])

    def start_run(self, kind: str, version: str | None) -> Run:
        """Begin a run; its rev is what a build stamps."""
        with self.transaction():
            identity = self._insert(
                "runs", kind=kind, version=version, state="running", pid=os.getpid(),
                host=socket.gethostname(), place=process_place(),
                process_start=process_started(os.getpid()), started_at=now(), details={},
                rev=self.next_rev(),
            )  # fmt: skip
        found = self._row(Run, "SELECT * FROM runs WHERE id = ?", [identity])
        assert found is not None
        return found

    def runs(self, limit: int = 50) -> list[Run]:
        """The latest runs, newest first."""
        return self._rows(Run, "SELECT * FROM runs ORDER BY id DESC LIMIT ?", [limit])

    # -- collections

    def add_collection(self, **values: Any) -> None:
        """Record a collection that is about to be created. A known one is left as it is."""
        with self.transaction():
            if self.collection(values["name"]) is None:
                self._insert("collections", created_at=now(), **values)

    def update_collection(self, name: str, **changes: Any) -> None:
        """Record what a build or a calibration found out."""
        self._update("collections", "name", name, **changes)

    def count_writes(self, name: str, writes: int) -> None:
        """Add to the collection's number of changes, from which drift is measured."""
        with self.transaction():
            self.execute(
                "UPDATE collections SET writes = writes + ? WHERE name = ?", (writes, name)
            )

    def count_single_writes(self, name: str, changed: int, growth: int) -> None:
        """Single writes changed a collection: they are drift, and change what is expected in it."""
        with self.transaction():
            self.execute(
                "UPDATE collections SET writes = writes + ?, points = max(0, points + ?), "
                "source_documents = max(0, source_documents + ?) WHERE name = ?",
                (changed, growth, growth, name),
            )

    def collection(self, name: str) -> BuiltCollection | None:
        """What is known of a collection, or None."""
        return self._row(BuiltCollection, "SELECT * FROM collections WHERE name = ?", [name])

    def all_collections(self) -> list[BuiltCollection]:
        """All collections, oldest first."""
        return self._rows(BuiltCollection, "SELECT * FROM collections ORDER BY created_at")

    def remove_collection(self, name: str) -> None:
        """Forget a collection that was dropped."""
        with self.transaction():
            self.execute("DELETE FROM collections WHERE name = ?", [name])

    # -- comparisons

    def add_comparison(
        self, scores: Mapping[str, Mapping[str, tuple[float, float]]], **values: Any
    ) -> StoredComparison:
        """Record a comparison with its per-query scores (metric -> query -> live, candidate)."""
        with self.transaction():
            identity = self._insert("comparisons", created_at=now(), **values)
            self.execute_many(
                "INSERT INTO comparison_scores VALUES (?, ?, ?, ?, ?)",
                [
                    (identity, metric, query, live, candidate)
                    for metric, queries in scores.items()
                    for query, (live, candidate) in queries.items()
                ],
            )
        found = self._row(StoredComparison, "SELECT * FROM comparisons WHERE id = ?", [identity])
        assert found is not None
        return found

    def comparisons(self, candidate_collection: str | None = None) -> list[StoredComparison]:
        """Comparisons, newest first, of one candidate or of all."""
        return self._rows(
            StoredComparison,
            "SELECT * FROM comparisons WHERE ? IS NULL OR candidate_collection = ? "
            "ORDER BY id DESC",
            [candidate_collection, candidate_collection],
        )

    def comparison_scores(self, identity: int) -> dict[str, dict[str, tuple[float, float]]]:
        """metric -> query -> (live, candidate)."""
        scores: dict[str, dict[str, tuple[float, float]]] = {}
        sql = "SELECT metric, query, live, candidate FROM comparison_scores WHERE comparison = ?"
        for metric, query, live, candidate in self.execute(sql, [identity]):
            scores.setdefault(metric, {})[query] = (live, candidate)
        return scores

    def judged_set_uses(self, judged_set: str) -> int:
        """How often this judged set was used: by comparisons, advice, trials and other looks."""
        sql = (
            "SELECT (SELECT count(*) FROM comparisons WHERE judged_set = ?1) + "
            "(SELECT coalesce(sum(looks), 0) FROM judged_set_uses WHERE judged_set = ?1)"
        )
        return int(self.execute(sql, [judged_set]).fetchone()[0])

    def uses_of(self, comparison: int | None) -> int | None:
        """`judged_set_uses` of the set that a comparison was judged on; None without one."""
        row = self.execute("SELECT judged_set FROM comparisons WHERE id = ?", [comparison])
        found = row.fetchone()
        return None if found is None else self.judged_set_uses(found[0])

    # -- promotions

    def add_intent(self, *, kind: PromotionKind, conditions: list[Any], **values: Any) -> Promotion:
        """Write down a flip before it happens."""
        identity = self._insert(
            "promotions", kind=kind, conditions=conditions, state="intent", pid=os.getpid(),
            created_at=now(), **values,
        )  # fmt: skip
        return self.promotion(identity)

    def close_intent(self, identity: int, state: str) -> Promotion:
        """Mark an intent as done or abandoned, once."""
        with self.transaction():
            if self.promotion(identity).state != "intent":
                raise Conflict(f"Promotion {identity} is closed already.")
            self._update("promotions", "id", identity, state=state, finished_at=now())
            return self.promotion(identity)

    def promotion(self, identity: int) -> Promotion:
        """One promotion by its number."""
        found = self._row(Promotion, "SELECT * FROM promotions WHERE id = ?", [identity])
        if found is None:
            raise RegistryError(f"There is no promotion {identity}.")
        return found

    def promotions(self, *, state: str | None = None) -> list[Promotion]:
        """Promotions, newest first, in one state or in all."""
        return self._rows(
            Promotion,
            "SELECT * FROM promotions WHERE ? IS NULL OR state = ? ORDER BY id DESC",
            [state, state],
        )
