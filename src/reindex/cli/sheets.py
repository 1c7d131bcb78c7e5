"""Tables under a title, as the comparison prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

NOTHING = "–"
"""In a cell that has no figure."""


class Sheet:
    """A table under its title, which may be wider than the table."""

    def __init__(self, title: str, table: Table) -> None:
        self.title, self.table = title, table

    def add_row(self, *cells: str) -> None:
        """Add a row of text."""
        self.table.add_row(*(Text(cell) for cell in cells))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text()
        yield Text(self.title, style="bold")
        yield Padding(self.table, (0, 0, 0, 2))


def sheet(title: str, first: str, *heads: str) -> Sheet:
    """Figures keep their width; only the first column gives way on a narrow screen."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(first)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    return Sheet(title, table)


def line(text: str) -> RenderableType:
    """A remark under a table."""
    return Padding(Text(text, style="dim"), (0, 0, 0, 2))
