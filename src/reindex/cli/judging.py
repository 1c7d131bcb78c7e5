"""`reindex figures`: what the gate may ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json, table

if TYPE_CHECKING:
    from reindex.project import Project


@main.command()
@click.argument("version")
@click.argument("names", nargs=-1, metavar="[FIGURE]…")
@json_option
@with_project
def figures(project: Project, version: str, names: tuple[str, ...], as_json: bool) -> None:
    """Every figure of a version's comparison, by the name that gate.conditions use.

    FIGURE chooses some, with * within a segment: 'slice.*.recall@10.change'.
    """
    from reindex.config.conditions import matching

    known = {figure.name: figure for figure in project.figures(version)}
    chosen = [name for wanted in names for name in matching(wanted, known)] if names else [*known]
    found = [known[name] for name in dict.fromkeys(chosen)]
    if as_json:
        emit_json(found)
        return
    if found:
        rows = [[figure.name, str(figure), figure.sentence] for figure in found]
        table(["figure", "value", "what it is"], rows)
    else:
        click.echo(f"{version} has no such figure, or was not compared yet.", err=True)
