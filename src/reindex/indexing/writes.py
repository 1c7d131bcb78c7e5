"""What makes a single write a good one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from reindex.build.lookup import hashed
from reindex.build.plan import Candidate, Refusal
from reindex.config import SourceSettings
from reindex.corpus.documents import shaped
from reindex.corpus.frameworks import stored_text
from reindex.errors import WriteRefused
from reindex.point_ids import keeps_integer
from reindex.records import Document, Payload
from reindex.writes import Ack, Write

__all__ = ["Ack", "Checked", "Write", "checked"]


@dataclass(frozen=True, slots=True)
class Checked:
    """A write that can be journaled: its point, and the document (None: a delete)."""

    candidate: Candidate
    deletes: bool


def checked(writes: Iterable[Write], settings: SourceSettings) -> list[Checked]:
    """The writes with their text in the payload, as files of this project would have it.

    Raises:
        WriteRefused: one of them cannot be stored; names the document. None was written.
    """
    return [_checked(write, settings) for write in writes]


def _checked(write: Write, settings: SourceSettings) -> Checked:
    try:
        _check_id(write.id)
        document = _document(write, settings) if write.payload is not None else None
        candidate = hashed(document or Document(write.id, "", {}))
        _check_json(write.payload)
    except (Refusal, ValueError, TypeError, RecursionError) as error:
        raise WriteRefused(
            f"document {write.id!r}: {_explain(error)}. Nothing of this call was written."
        ) from None
    return Checked(candidate, document is None)


def _explain(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "half of a surrogate pair in its id, text or payload"
    return str(error)


def _check_id(id: object) -> None:
    if isinstance(id, bool) or not isinstance(id, int | str):
        raise TypeError(f"expected a string or an integer as its id, got {type(id).__name__}")
    if isinstance(id, str) and not id.strip():
        raise ValueError("its id is blank")
    if isinstance(id, int) and not keeps_integer(id):
        raise ValueError("an integer as an id has 64 bits at most; give it as text")


def _check_json(payload: Payload | None) -> None:
    json.dumps(payload, allow_nan=False, ensure_ascii=False).encode()


def _document(write: Write, settings: SourceSettings) -> Document:
    """The text goes where the project's payloads keep it, unless it is there already."""
    text_of, payload = stored_text(settings), dict(write.payload or {})
    found = text_of(payload)
    if write.text is None:
        if not found:
            raise ValueError(f"no text in {text_of}, and none was given")
        return Document(write.id, found, payload)
    if not write.text.strip():
        raise ValueError("its text is blank")
    if write.text != found:
        payload = shaped(settings, write.id, write.text, payload)
    return Document(write.id, text_of(payload), payload)
