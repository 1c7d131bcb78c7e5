"""Which candidate answers which share of the keys, now and before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reindex.errors import Conflict
from reindex.registry.file import now
from reindex.registry.registry import Registry

Mode = Literal["split", "interleave"]


@dataclass(frozen=True, slots=True)
class Canary:
    """A candidate beside what is live, with the phase that it is in.

    Attributes:
        weight: share of the keys on the candidate's side; 0 is a shadow: it answers nobody.
        mode: those keys get the candidate's results (``split``), or lists that both versions
            drafted (``interleave``).
        phase: number of the row that set both; a new one with every change.
    """

    id: int
    version: str
    collection: str
    live_version: str
    live_collection: str
    phase: int
    weight: float
    mode: Mode
    who: str
    started_at: str
    set_at: str
    ended_by: str | None = None
    ended_at: str | None = None
    why: str = ""

    @property
    def experiment(self) -> str:
        """The name under which keys are assigned: the same as long as this canary runs."""
        return f"canary-{self.id}"


@dataclass(frozen=True, slots=True)
class Phase:
    """A weight and a mode, and since when."""

    id: int
    weight: float
    mode: Mode
    who: str
    set_at: str


_SELECT = """
SELECT c.id, c.version, c.collection, c.live_version, c.live_collection, p.id, p.weight, p.mode,
       c.who, c.started_at, p.set_at, c.ended_by, c.ended_at, c.why
FROM canaries c JOIN canary_phases p
ON p.id = (SELECT max(id) FROM canary_phases WHERE canary = c.id)
"""


class Canaries:
    """The tables ``canaries`` and ``canary_phases`` of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def running(self, alias: str) -> Canary | None:
        """The alias's canary, unless a flip came after it: what came back by another flip is not
        tried again. Whether somebody else moved the alias is for the caller to see.
        """
        found = self.unended(alias)
        return None if found is None or self.flipped_to(found) else found

    def flipped_to(self, canary: Canary) -> str | None:
        """What the first flip since the canary began made live, if there was one."""
        row = self._registry.execute(
            "SELECT p.to_collection FROM promotions p JOIN canaries c ON c.alias = p.alias "
            "WHERE c.id = ? AND p.state = 'done' AND p.finished_at > c.started_at "
            "ORDER BY p.id LIMIT 1",
            [canary.id],
        ).fetchone()
        return None if row is None else str(row[0])

    def unended(self, alias: str) -> Canary | None:
        """The canary whose end was not written down yet."""
        row = self._registry.execute(
            f"{_SELECT} WHERE c.alias = ? AND c.ended_at IS NULL", [alias]
        ).fetchone()
        return Canary(*row) if row else None

    def last(self, alias: str) -> Canary | None:
        """The canary that runs, or the last one that did."""
        row = self._registry.execute(
            f"{_SELECT} WHERE c.alias = ? ORDER BY c.id DESC LIMIT 1", [alias]
        ).fetchone()
        return Canary(*row) if row else None

    def start(
        self, alias: str, *, candidate: tuple[str, str], live: tuple[str, str], who: str
    ) -> int:
        """Begin a canary of ``candidate`` beside ``live``: (version, collection) each.

        It answers nobody until `set`.

        Raises:
            Conflict: another one runs.
        """
        with self._registry.transaction():
            other = self.running(alias)
            if other is not None:
                raise Conflict(
                    f"A canary of {other.version} runs already, by {other.who} since "
                    f"{other.started_at[:19]} UTC. End it first: reindex canary --off"
                )
            cursor = self._registry.execute(
                "INSERT INTO canaries (alias, version, collection, live_version, live_collection, "
                "who, started_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (alias, *candidate, *live, who, now()),
            )
        return int(cursor.lastrowid or 0)

    def set(self, canary: int, weight: float, mode: Mode, who: str) -> None:
        """Give it another weight or mode: a new phase. What is so already stays as it is."""
        with self._registry.transaction():
            phases = self.phases(canary)
            if phases and (phases[-1].weight, phases[-1].mode) == (weight, mode):
                return
            self._registry.execute(
                "INSERT INTO canary_phases (canary, weight, mode, who, set_at) "
                "VALUES (?, ?, ?, ?, ?)",
                (canary, weight, mode, who, now()),
            )

    def end(self, canary: int, who: str, why: str) -> bool:
        """End it, once; whether this did."""
        with self._registry.transaction():
            cursor = self._registry.execute(
                "UPDATE canaries SET ended_by = ?, ended_at = ?, why = ? "
                "WHERE id = ? AND ended_at IS NULL",
                (who, now(), why, canary),
            )
        return cursor.rowcount == 1

    def phases(self, canary: int) -> list[Phase]:
        """Every weight and mode that it had, in order."""
        rows = self._registry.execute(
            "SELECT id, weight, mode, who, set_at FROM canary_phases WHERE canary = ? ORDER BY id",
            [canary],
        ).fetchall()
        return [Phase(*row) for row in rows]
