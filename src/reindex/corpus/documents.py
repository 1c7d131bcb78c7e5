"""Rows -> documents: the id, the embedded text, and the payload in a framework's shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reindex.config import SourceSettings
from reindex.corpus.frameworks import stored_text
from reindex.corpus.images import checked_reference
from reindex.corpus.readers import Fields
from reindex.errors import ConfigError
from reindex.point_ids import keeps_integer
from reindex.records import STAMP_KEY, Document, Payload


@dataclass(slots=True)
class _Read:
    """What a payload is made of; ``rest`` is the row without the body, its last text field.

    The other text fields stay in it: a title is embedded, and shown with the result too.
    """

    id: int | str
    text: str
    fields: Fields
    body: str

    @property
    def rest(self) -> Fields:
        return {name: value for name, value in self.fields.items() if name != self.body}


class UnusableRow(ValueError):
    """A row that makes no document. ``id`` is its id where that could be read."""

    def __init__(self, reason: str, id: int | str | None = None) -> None:
        super().__init__(reason)
        self.id = id


def document_maker(settings: SourceSettings) -> Callable[[Fields], Document]:
    """The function that turns one row into a document, or raises UnusableRow.

    A row's own ``_reindex`` (the stamp of points that were exported from a collection) is dropped.

    Raises:
        ConfigError: ``source.text_fields`` names no field.
    """
    if not settings.text_fields:
        raise ConfigError("source.text_fields is empty: name at least one field to embed.")
    shape = PRESETS[settings.payload]
    id_field, names, separator = settings.id_field, settings.text_fields, settings.separator

    def make(fields: Fields) -> Document:
        fields.pop(STAMP_KEY, None)
        id = _id(fields, id_field)
        if settings.image_field and (image := fields.get(settings.image_field)):
            reference = read_reference(image, settings, id)
            return Document(id, reference, shape(_Read(id, image, fields, settings.image_field)))
        text = separator.join(_texts(fields, names, id))
        if not text:
            raise UnusableRow(f"no text in {', '.join(names)}", id)
        return Document(id, text, shape(_Read(id, text, fields, names[-1])))

    return make


def read_reference(image: object, settings: SourceSettings, id: int | str) -> str:
    """The `image_reference` of a row's image; UnusableRow where there is no such file."""
    if not isinstance(image, str):
        raise UnusableRow(f"{settings.image_field} is {type(image).__name__}, expected a path", id)
    try:
        return checked_reference(settings.images or Path(), image)
    except ValueError as error:
        raise UnusableRow(str(error), id) from None


def shaped(
    settings: SourceSettings, id: int | str, text: str, payload: Mapping[str, Any]
) -> Payload:
    """``payload`` with ``text`` where this project's payloads keep it.

    In a framework's shape the fields given become its metadata. Among plain fields the text goes
    into the last of ``source.text_fields``, unless it stands there already.

    Raises:
        UnusableRow: another text is there.
    """
    body = settings.text_fields[-1]
    found = stored_text(settings)(payload)
    there = payload.get(body) if settings.payload == "plain" else found
    if there not in (None, "", text):
        raise UnusableRow(
            f"the payload holds the text {str(there)[:80]!r}, the text given is {text[:80]!r}; "
            "give one of them, or both alike",
            id,
        )
    if settings.payload == "plain":
        return {**payload, body: text}
    same = body if payload.get(body) == text else ""  # any other field of this name is kept
    return PRESETS[settings.payload](_Read(id, text, dict(payload), same))


def _id(fields: Fields, name: str) -> int | str:
    id: Any = fields.get(name)
    if type(id) is str and id and not id.isspace():
        return id
    if type(id) is int and keeps_integer(id):
        return id
    if id is None:
        raise UnusableRow(f"no id in {name}")
    if id == "" or isinstance(id, str):
        raise UnusableRow(f"blank id in {name}")
    if type(id) is int:
        raise UnusableRow(f"id in {name} is an integer of more than 64 bits (give it as text)")
    raise UnusableRow(f"id in {name} is {type(id).__name__}, expected a string or an integer")


def _texts(fields: Fields, names: tuple[str, ...], id: int | str) -> list[str]:
    texts = []
    for name in names:
        text = fields.get(name)
        if text is None:
            continue
        if type(text) is not str:
            raise UnusableRow(f"{name} is {type(text).__name__}, expected text", id)
        if text and not text.isspace():
            texts.append(text)
    return texts


def _plain(document: _Read) -> Payload:
    return document.fields


def _langchain(document: _Read) -> Payload:
    return {"page_content": document.text, "metadata": document.rest}


def _llamaindex(document: _Read) -> Payload:
    return {**document.rest, "text": document.text, "doc_id": str(document.id)}


def _haystack(document: _Read) -> Payload:
    return {"id": str(document.id), "content": document.text, "meta": document.rest}


PRESETS: dict[str, Callable[[_Read], Payload]] = {
    "plain": _plain,
    "langchain": _langchain,
    "llamaindex": _llamaindex,
    "haystack": _haystack,
}
"""source.payload -> the payload's shape, as that framework's Qdrant store reads it."""
