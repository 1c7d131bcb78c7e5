"""`reindex plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reindex.cli.amounts import duration, size
from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json, table
from reindex.cli.plan_training import show_needs

if TYPE_CHECKING:
    from reindex.project import Project
    from reindex.stages.planning import BuildPlan


@main.command()
@click.argument("version", required=False)
@click.option("--train", is_flag=True, help="What training with [train] will need, instead.")
@json_option
@with_project
def plan(project: Project, version: str | None, train: bool, as_json: bool) -> None:
    """What building VERSION will cost, what would fail, and what would be cheaper.

    Reads the source for at most 20 seconds and measures the encoder on sampled texts for 5.
    With --train: the memory and time of the next training, from two steps on a few of its pairs.
    Writes nothing. Exits with 1 where something would stop the build or the training.
    """
    from reindex.stages.planning_training import plan_training

    if train == (version is not None):
        raise click.UsageError("Expected either a VERSION, whose build to plan, or --train.")
    if version is None:
        needs = plan_training(project)
        show_needs(needs, as_json=as_json)
        raise click.exceptions.Exit(0 if needs.fits else 1)
    made = project.plan(version)
    if as_json:
        emit_json({**_document(made), "feasible": made.feasible})
    else:
        show_plan(made)
    if not made.feasible:
        raise click.exceptions.Exit(1)


def _document(made: BuildPlan) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(made)


def show_plan(made: BuildPlan) -> None:
    """Figures, then problems, then alternatives."""
    table(["figure", made.collection], _rows(made), title=f"Building {made.version}")
    for item in made.findings:
        colour = "red" if item.severity == "error" else "yellow"
        click.secho(
            f"{item.severity}: {item.what}. {item.remedy[:1].upper()}{item.remedy[1:]}.", fg=colour
        )
    if made.alternatives:
        rows = [
            [item.name, "" if item.seconds is None else duration(item.seconds),
             "" if item.memory is None else size(item.memory),
             "" if item.disk is None else size(item.disk), item.how]
            for item in made.alternatives
        ]  # fmt: skip
        table(["alternative", "time", "memory", "disk", "how"], rows)


def _rows(made: BuildPlan) -> list[list[str]]:
    counted = "" if made.counted else " (estimated)"
    dims = str(made.dim) if made.prefix_dim is None else f"{made.dim} and {made.prefix_dim}"
    rows = [
        ["documents", f"{made.documents:,}{counted}"],
        ["embedded already", f"{made.present:,}"],
        ["distinct texts to embed", f"{made.texts:,}"],
    ]
    if made.tokens is not None:
        cut = f"; {made.tokens.truncated:.1%} are cut at {made.tokens.max_length}"
        rows += [["tokens a document", f"{made.tokens.mean:,.0f}{cut}"]]
        rows += [["tokens to embed", f"{made.texts * made.tokens.mean_cut:,.0f}"]]
    throttled = f", throttled to {made.throttle:,.4g}/s" if made.throttle else ""
    rows += [
        ["rate of this machine", f"{made.encode_rate:,.0f} texts/s{throttled}"],
        ["time", duration(made.seconds)],
        ["layout", f"{made.layout} ({dims} dimensions), {made.store}"],
        ["memory for fast searches", size(made.memory)],
        ["disk, at most", size(made.disk) + _of(made.free)],
        ["temporary folder", size(made.temporary) + _of(made.free_temporary)],
    ]
    return rows


def _of(free: int | None) -> str:
    return "" if free is None else f" of {size(free)} free"
