"""The gate language: one condition over a figure, as ``gate.conditions`` holds it.

    condition  = figure relation number [ "shown" | "possible" ]
    figure     = segment { "." segment }          recall@10.change   slice.language=de.mrr@10.change
    segment    = characters without space, or "quoted", with * for any characters outside quotes
    relation   = ">=" | "<=" | ">" | "<" | "=="
    number     = [ "+" | "-" ] digits [ "." digits ] [ unit ]
    unit       = "%" | "ms" | "s" | "MB" | "GB"   right after the number, or after a space

``shown`` asks that the figure's whole interval is on the right side of the number, ``possible``
that a part of it is; without either the figure itself is held against it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from reindex.measures import LABELS

Relation = Literal[">=", "<=", ">", "<", "=="]
Evidence = Literal["", "shown", "possible"]
UNITS: dict[str, tuple[str, float]] = {
    "": ("", 1.0),
    "%": ("%", 0.01),
    "ms": ("ms", 1.0),
    "s": ("ms", 1000.0),
    "MB": ("MB", 1.0),
    "GB": ("MB", 1000.0),
}
"""How a unit is written -> what it measures, and by how much to multiply."""

_SEGMENT = r'(?:[^\s."<>=]|=(?!=)|"(?:[^"\\]|\\.)*")+'
_FIGURE = re.compile(rf"{_SEGMENT}(?:\.{_SEGMENT})*")
_RELATION = re.compile(r">=|<=|==|>|<")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?![\d.])")
_WORD = re.compile(r"[^\s\d]\S*")
_WORDS: tuple[Evidence, ...] = get_args(Evidence)[1:]
_AT_END = "'shown', 'possible' or the end"
_SPACE = re.compile(r"\s*")
_PIECE = re.compile(r'"((?:[^"\\]|\\.)*)"|\*|[^"*]+')


@dataclass(frozen=True, slots=True)
class Rule:
    """A parsed condition. ``bound`` is in ``kind`` ('%': a share, 'ms', 'MB'; '': none given)."""

    text: str
    figure: str
    relation: Relation
    bound: float
    kind: str
    evidence: Evidence


def parse_rule(text: str) -> Rule:
    """Read one condition.

    Raises:
        ValueError: it does not follow the grammar; the message names the column (from 1), what
            was expected there and what was found.
    """
    figure, at = _take(text, 0, _FIGURE, "a figure such as recall@10.change")
    relation, at = _take(text, at, _RELATION, f"one of {', '.join(get_args(Relation))}")
    number, at = _take(text, at, _NUMBER, "a number such as -1 or 0.5")
    unit, at = _unit(text, at)
    evidence = _evidence(text, at)
    if evidence and relation == "==":
        raise ValueError(f"'{evidence}' goes with >=, <=, > and <: no interval shows equality")
    kind, factor = UNITS[unit]
    return Rule(text, figure, _relation(relation), float(number) * factor, kind, evidence)


def _take(text: str, at: int, pattern: re.Pattern[str], wanted: str) -> tuple[str, int]:
    at = _skip(text, at)
    found = pattern.match(text, at)
    if found is None:
        raise ValueError(_expected(text, at, wanted))
    return found.group(), found.end()


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return at if space is None else space.end()


def _unit(text: str, at: int) -> tuple[str, int]:
    start = _skip(text, at)
    word = _WORD.match(text, start)
    if word is None or word.group() in get_args(Evidence):
        return "", at
    if word.group() not in UNITS:
        units = ", ".join(unit for unit in UNITS if unit)
        raise ValueError(_expected(text, start, f"a unit ({units}), {_AT_END}"))
    return word.group(), word.end()


def _evidence(text: str, at: int) -> Evidence:
    start = _skip(text, at)
    word = _WORD.match(text, start)
    found: Evidence = next((item for item in _WORDS if word and word.group() == item), "")
    end = _skip(text, start + len(found))
    if end < len(text):
        raise ValueError(_expected(text, end, "the end" if found else _AT_END))
    return found


def _relation(text: str) -> Relation:
    return next(item for item in get_args(Relation) if item == text)


def _expected(text: str, at: int, wanted: str) -> str:
    rest = text[at:].split(maxsplit=1)
    found = repr(rest[0]) if rest else "the end"
    return f"column {at + 1}: expected {wanted}, found {found}"


def segments(name: str) -> tuple[str, ...]:
    """A figure's name at its dots, those within quotes left alone."""
    return tuple(re.findall(_SEGMENT, name))


def plain_segment(text: str) -> str:
    """A segment without its quotes: ``language="zh.hant"`` is ``language=zh.hant``."""
    return "".join(_unescaped(piece) for piece in _PIECE.finditer(text))


def segment_pattern(text: str) -> re.Pattern[str]:
    """What matches the plain form of the segments that ``text``, with its ``*``, stands for."""
    return re.compile("".join(_pattern(piece) for piece in _PIECE.finditer(text)), re.DOTALL)


def _unescaped(piece: re.Match[str]) -> str:
    quoted = piece.group(1)
    return piece.group() if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)


def _pattern(piece: re.Match[str]) -> str:
    return ".*" if piece.group() == "*" else re.escape(_unescaped(piece))


def matching(figure: str, names: Iterable[str]) -> list[str]:
    """Those of ``names`` that a figure of a rule, with its ``*``, stands for; in their order.

    A ``*`` stays within its segment, and within a quoted value dots are part of it.
    """
    wanted = [segment_pattern(item) for item in segments(figure)]
    return [name for name in names if _fits(wanted, [plain_segment(s) for s in segments(name)])]


def _fits(wanted: list[re.Pattern[str]], found: list[str]) -> bool:
    return len(wanted) == len(found) and all(
        pattern.fullmatch(item) for pattern, item in zip(wanted, found, strict=True)
    )


def measures_in(rules: Iterable[str]) -> list[str]:
    """The metrics that rules speak of, as they name them: ``ndcg@20``, ``recall``.

    A figure names its metric right before what it says of it: ``slice.*.ndcg@20.change``.
    """
    named = [segments(parse_rule(text).figure)[-2:-1] for text in rules]
    return [name for (name,) in filter(None, named) if name.partition("@")[0] in LABELS]
