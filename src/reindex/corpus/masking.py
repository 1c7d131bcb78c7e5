"""Queries without the names: how much of a result is more than matching of identifiers."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "…"
_WORD = re.compile(r"[^\W_]+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")


def mask_names(query: str, names: Iterable[str]) -> str:
    """``query`` with every word that the qualified ``names`` contain replaced by ``…``.

    Names are split at dots, underscores and inner capitals. Words are compared in lower case and
    without their endings, so that ``arrays`` and ``sorted`` fall with ``sort_array``.
    """
    hidden = {_stem(part) for name in names for part in _parts(name)}

    def mask(match: re.Match[str]) -> str:
        word = match.group()
        parts = {_stem(word), *(_stem(part) for part in _PART.findall(word))}
        return MASK if parts & hidden else word

    return _WORD.sub(mask, query)


def _parts(name: str) -> Iterable[str]:
    for segment in re.split(r"[._]+", name):
        yield segment
        yield from _PART.findall(segment)


_ENDINGS = (
    ("ies", "es", "s"),
    ("ization", "isation", "ation", "izing", "ized", "ing", "ied", "ed", "er"),
    ("e", "y", "i"),
)
"""Taken off in turn, one of each row at most: plural, derivation, final vowel."""


def _stem(word: str) -> str:
    """Crude, and meant to be: the same for a word's usual forms, at least three letters long."""
    word = word.lower()
    for endings in _ENDINGS:
        fitting = (e for e in endings if word.endswith(e) and len(word) - len(e) >= 3)
        word = word.removesuffix(next(fitting, ""))
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word
