"""The searches over recipes, and every trial of theirs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from reindex.registry.file import now
from reindex.registry.judged_uses import JudgedUses
from reindex.registry.registry import Registry

TrialState = Literal["running", "complete", "pruned", "failed"]
"""``running``: going on, or cut off; the next call goes on with it. The others are ends."""

_STUDY = "id, key, base, metric, judged_set, seed, space, examples, before, version, created_at"
_TRIAL = "number, state, seed, params, value, history, seconds, why, started_at, finished_at"


@dataclass(frozen=True, slots=True)
class Study:
    """A search: on what data, by which dev set, over which space; ``version`` is its best one."""

    id: int
    key: str
    base: str
    metric: str
    judged_set: str
    seed: int
    space: Mapping[str, Any]
    examples: int
    before: Mapping[str, float]
    version: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A recipe that was tried. ``history``: an entry per dev evaluation, ``step`` and metrics.

    ``value`` is the best of them; None before the first. ``why`` says what ended it, if not the
    training's own end.
    """

    number: int
    state: TrialState
    seed: int
    params: Mapping[str, Any]
    value: float | None
    history: tuple[Mapping[str, float], ...]
    seconds: float
    why: str
    started_at: str
    finished_at: str | None


class Studies:
    """The tables ``studies`` and ``trials`` of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def open(self, key: str, **values: Any) -> Study:
        """The study of this key, begun with ``values`` where there is none."""
        with self._registry.transaction():
            row = {**values, "key": key, "created_at": now()}
            row |= {name: json.dumps(row[name], sort_keys=True) for name in ("space", "before")}
            names, marks = ", ".join(row), ", ".join("?" for _ in row)
            self._registry.execute(
                f"INSERT OR IGNORE INTO studies ({names}) VALUES ({marks})",  # noqa: S608
                row.values(),
            )
        return next(item for item in self.all() if item.key == key)

    def all(self) -> list[Study]:
        """All studies, oldest first."""
        rows = self._registry.execute(f"SELECT {_STUDY} FROM studies ORDER BY id")  # noqa: S608
        return [_study(row) for row in rows.fetchall()]

    def name(self, study: int, version: str) -> None:
        """Write down which version the study's best trial became."""
        self._set("studies", "id = ?", [study], version=version)

    def measured_base(self, study: int, before: Mapping[str, float]) -> None:
        """Write down what the base reaches on dev."""
        self._set("studies", "id = ?", [study], before=json.dumps(before, sort_keys=True))

    def trials(self, study: int) -> list[Trial]:
        """A study's trials in their order."""
        rows = self._registry.execute(
            f"SELECT {_TRIAL} FROM trials WHERE study = ? ORDER BY number",  # noqa: S608
            [study],
        )
        return [_trial(row) for row in rows.fetchall()]

    def begin(self, study: int, number: int, *, params: Mapping[str, Any], seed: int) -> Trial:
        """Write a trial down before it begins; one that was cut off keeps its row."""
        with self._registry.transaction():
            self._registry.execute(
                "INSERT OR IGNORE INTO trials VALUES (?, ?, 'running', ?, ?, NULL, '[]', 0, '', ?, "
                "NULL)",
                (study, number, seed, json.dumps(params, sort_keys=True), now()),
            )
        return self.trials(study)[number]

    def look(self, study: Study, number: int, entry: Mapping[str, float]) -> Trial:
        """Write down a dev evaluation, which is a look at the dev set; each step's once."""
        with self._registry.transaction():
            trial = self.trials(study.id)[number]
            if any(seen["step"] == entry["step"] for seen in trial.history):
                return trial
            history = [*map(dict, trial.history), dict(entry)]
            self._end(
                study.id, number, history=json.dumps(history),
                value=max(item[study.metric] for item in history),
            )  # fmt: skip
            JudgedUses(self._registry).add(study.judged_set, "trials")
            return self.trials(study.id)[number]

    def close(
        self, study: int, number: int, state: TrialState, *, seconds: float, why: str = ""
    ) -> Trial:
        """Write down how a trial ended."""
        self._end(study, number, state=state, seconds=seconds, why=why, finished_at=now())
        return self.trials(study)[number]

    def _end(self, study: int, number: int, **changes: Any) -> None:
        self._set("trials", "study = ? AND number = ?", [study, number], **changes)

    def _set(self, table: str, where: str, key: list[Any], **changes: Any) -> None:
        sets = ", ".join(f"{name} = ?" for name in changes)
        with self._registry.transaction():
            self._registry.execute(
                f"UPDATE {table} SET {sets} WHERE {where}",  # noqa: S608 (own names)
                [*changes.values(), *key],
            )


def _study(row: tuple[Any, ...]) -> Study:
    fields = dict(zip(Study.__slots__, row, strict=True))
    return Study(**{**fields, **{name: json.loads(fields[name]) for name in ("space", "before")}})


def _trial(row: tuple[Any, ...]) -> Trial:
    fields = dict(zip(Trial.__slots__, row, strict=True))
    read = {"params": json.loads(fields["params"]), "history": tuple(json.loads(fields["history"]))}
    return Trial(**{**fields, **read})
