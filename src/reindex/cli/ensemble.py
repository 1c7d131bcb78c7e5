"""`reindex ensemble`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json

if TYPE_CHECKING:
    from reindex.project import Project


def _weights(_: click.Context, __: click.Parameter, value: str | None) -> list[float] | None:
    try:
        return None if value is None else [float(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter("expected numbers, separated by commas: 0.5,0.5") from None


@main.command()
@click.argument("versions", nargs=-1, required=True)
@click.option("--weights", callback=_weights, help="One for each: 0.5,0.5. Unset: all the same.")
@json_option
@with_project
def ensemble(
    project: Project, versions: tuple[str, ...], weights: list[float] | None, as_json: bool
) -> None:
    """Make a version of several: their vectors side by side, weighted, as one.

    Its vectors take the space of all members'. Whether that pays, the comparison says.
    """
    made = project.ensemble(versions, weights)
    if as_json:
        emit_json(made)
        return
    click.echo(f"{made.name}: {made.base}, {made.dim} dimensions, first stage on "
               f"{made.report['prefix_dim']}.")  # fmt: skip
    click.echo(f"Next: reindex build {made.name}")
    for member in versions:
        click.echo(f"Does it pay? reindex compare {made.name} --against {member}")
