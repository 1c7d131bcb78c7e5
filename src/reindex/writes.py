"""One write as it is asked for and as it is answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from reindex.records import Document, Payload


@dataclass(frozen=True, slots=True)
class Write:
    """An upsert, or, without a payload, a delete. All of it is JSON.

    ``text``: what is embedded; None: what the payload holds.
    """

    id: int | str
    text: str | None = None
    payload: Payload | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(values["id"], values["text"], values["payload"])


@dataclass(frozen=True, slots=True)
class Ack:
    """A write that is in the journal and in the collection that was live.

    ``pending``: write targets that do not have it yet; they get it later.
    """

    id: int | str
    rev: int
    collection: str
    pending: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(values["id"], values["rev"], values["collection"], tuple(values["pending"]))


Given = Document | Write | tuple[int | str, str | None, Mapping[str, Any]]
"""A document to write: the tuple is ``(id, text, payload)``."""


def as_writes(documents: Given | Iterable[Given]) -> list[Write]:
    """One document or several, however they were given."""
    if isinstance(documents, Document | Write | tuple):
        return [_write(documents)]
    return [_write(item) for item in documents]


def as_ids(ids: int | str | Iterable[int | str]) -> list[int | str]:
    """One id or several."""
    return [ids] if isinstance(ids, int | str) else list(ids)


def _write(given: Given) -> Write:
    if isinstance(given, Write):
        return Write(given.id, given.text, given.payload if given.payload is not None else {})
    if isinstance(given, Document):
        return Write(given.id, given.text, given.payload)
    id, text, payload = given
    return Write(id, text, dict(payload))
