"""The title and the text of a stored point, for people to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reindex.corpus.frameworks import detect

TextOf = Callable[[Mapping[str, Any]], str]
_TITLES = ("title", "name", "heading", "subject")
_WITHIN = ("metadata", "meta")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A document's title ("" where it has none) and the start of its text, in one line."""

    title: str
    text: str


def excerpt(payload: Mapping[str, Any], text_of: TextOf, length: int | None = 300) -> Excerpt:
    """The title that the payload holds, and up to ``length`` characters of its text.

    A title that the text begins with is not said twice. Where ``text_of`` finds nothing, the
    likeliest field counts. ``length`` None: the whole text, with its lines as they are.
    """
    title, text = _title(payload), text_of(payload) or _any_text(payload)
    if title and text.startswith(title):
        text = text[len(title) :].lstrip()
    if length is not None:
        text = " ".join(text.split())
        text = text if len(text) <= length else text[: length - 1].rstrip() + "…"
    return Excerpt(" ".join(title.split()), text)


def _title(payload: Mapping[str, Any]) -> str:
    places = [payload, *(payload[key] for key in _WITHIN if isinstance(payload.get(key), Mapping))]
    found = (place.get(name) for place in places for name in _TITLES)
    return next((value for value in found if isinstance(value, str) and value.strip()), "")


def _any_text(payload: Mapping[str, Any]) -> str:
    found = detect([payload])
    return found[0].text(payload) if found else ""
