"""What commands print: one JSON document for machines, tables for people."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click


def emit_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(value, default=jsonable, ensure_ascii=False, indent=2))


def jsonable(value: Any) -> Any:
    """What `json.dumps` asks for values that it does not know. Raises TypeError."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        as_dict = getattr(value, "as_dict", None)
        return as_dict() if as_dict else _fields(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if hasattr(value, "item"):  # a numpy scalar
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _fields(value: Any) -> dict[str, Any]:
    return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}


NEVER_WRAPPED = 24
"""Columns whose cells are this short stay on one line; longer ones share what is left."""
COMFORTABLE, NARROWEST = 20, 10
"""What a longer column needs at least; without that room, all but the narrowest wrap, too."""


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "") -> None:
    """Print rows under columns; numbers to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    lines = [list(row) for row in rows]
    console = Console()
    widths = [
        max((len(_cell(row[index])) for row in lines), default=0) for index in range(len(columns))
    ]
    kept = [max(width, len(name)) for width, name in zip(widths, columns, strict=True)]
    fixed = sum(width + 2 for width in kept if width <= NEVER_WRAPPED)
    crowded = fixed > console.width  # even short cells wrap rather than lose an end
    room = console.width - fixed > COMFORTABLE * sum(width > NEVER_WRAPPED for width in kept)
    shown = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        cells = [row[index] for row in lines]
        numeric = bool(cells) and all(isinstance(cell, int | float) for cell in cells)
        short = not crowded and widths[index] <= (NEVER_WRAPPED if room else NARROWEST)
        shown.add_column(
            name, justify="right" if numeric else "left", no_wrap=short, overflow="fold"
        )
    for row in lines:
        shown.add_row(*(_cell(value) for value in row))
    console.print(shown)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def moment(stamp: str | None) -> str:
    """A registry time for people: to the minute, without the offset (UTC)."""
    return "" if stamp is None else stamp[:16].replace("T", " ")


def shorten(text: str, width: int = 160) -> str:
    """One line of at most ``width`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"
