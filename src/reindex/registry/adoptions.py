"""The collections that were taken over as somebody else made them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from reindex.registry import Registry


@dataclass(frozen=True, slots=True)
class Adoption:
    """One adopted collection and what was found out about it; ``text`` as `StoredText`'s fields."""

    collection: str
    version: str
    vector: str
    text: Mapping[str, Any]
    graph: str
    sample: int
    share: float
    median: float
    lowest: float
    who: str
    adopted_at: str


class Adoptions:
    """The table ``adoptions`` of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add(self, adoption: Adoption) -> None:
        """Record one; a collection that was adopted before is recorded anew."""
        values = [json.dumps(v) if isinstance(v, Mapping) else v for v in _values(adoption)]
        marks = ", ".join("?" for _ in values)
        with self._registry.transaction():
            self._registry.execute(
                f"INSERT OR REPLACE INTO adoptions ({_NAMES}) VALUES ({marks})",  # noqa: S608
                values,
            )

    def of(self, collection: str | None) -> Adoption | None:
        """What is recorded of a collection; None where it was not adopted."""
        row = self._registry.execute(
            f"SELECT {_NAMES} FROM adoptions WHERE collection = ?",  # noqa: S608
            [collection],
        ).fetchone()
        return _adoption(row) if row else None

    def all(self) -> list[Adoption]:
        """All of them, newest first."""
        rows = self._registry.execute(
            f"SELECT {_NAMES} FROM adoptions ORDER BY adopted_at DESC"  # noqa: S608
        ).fetchall()
        return [_adoption(row) for row in rows]

    def of_version(self, version: str) -> Adoption | None:
        """The collection that was adopted as this version, if any."""
        return next((item for item in self.all() if item.version == version), None)


def collection_of(registry: Registry, version: str, own: str) -> str:
    """A version's collection: the adopted one, unless ``own``, one of its own, was built since."""
    if registry.collection(own) is None:
        adopted = Adoptions(registry).of_version(version)
        return adopted.collection if adopted else own
    return own


_NAMES = ", ".join(item.name for item in fields(Adoption))


def _values(adoption: Adoption) -> tuple[Any, ...]:
    return tuple(getattr(adoption, item.name) for item in fields(Adoption))


def _adoption(row: Any) -> Adoption:
    values = dict(zip((item.name for item in fields(Adoption)), row, strict=True))
    return Adoption(**{**values, "text": json.loads(values["text"])})
