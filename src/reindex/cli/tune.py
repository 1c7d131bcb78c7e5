"""`reindex tune`: how a version's collection is best searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json, table

if TYPE_CHECKING:
    from reindex.evaluation.front import Front, FrontPoint
    from reindex.project import Project
    from reindex.stages.tuning import Tuned


@main.command()
@click.argument("version")
@click.option(
    "--target-recall", type=click.FloatRange(0, 1, min_open=True), metavar="SHARE",
    help="Of exact search's results, on the same vectors. Unset: 1 - gate.max_two_stage_loss.",
)  # fmt: skip
@click.option("--measured-only", is_flag=True, help="Do not read all vectors for other layouts.")
@click.option("--forget", is_flag=True, help="Take the frozen plan back; measure nothing.")
@json_option
@with_project
def tune(
    project: Project, version: str, target_recall: float | None, measured_only: bool, forget: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Measure recall, latency and memory of ways to search, and freeze the best.

    The fastest way that reaches the target serves from then on, and `compare` judges it, until
    the collection is built anew. Other layouts are computed from the stored vectors. Exits with 1,
    and changes nothing, where no way reaches the target.
    """
    if forget:
        had = project.untune(version)
        click.echo("The plan is taken back." if had else f"{version} has no frozen plan.")
        return
    tuned = project.tune(version, target=target_recall, other_layouts=not measured_only)
    if as_json:
        emit_json(tuned)
    else:
        show_front(tuned.front)
        _tell(version, tuned)
    if tuned.plan is None:
        raise click.exceptions.Exit(1)


def show_front(front: Front) -> None:
    """One row per way of searching; the one to serve with has an arrow."""
    rows = [_row(front, point) for point in front.points]
    columns = ("", "dims", "kept as", "oversampling", "hnsw_ef", "recall", "median", "memory")
    title = (
        f"{front.collection}: recall@{front.k} against exact search, target {front.target:g}, "
        f"by {front.asked}"
    )
    table(columns, rows, title=title)


def _row(front: Front, point: FrontPoint) -> list[str | int | None]:
    return [
        "→" if point == front.chosen and front.reached else "",
        point.prefix_dim or "all",
        "float32" if point.quantization == "none" else point.quantization,
        point.oversampling,
        point.hnsw_ef,
        f"{point.recall:.4f}",
        "computed" if point.p50_ms is None else f"{point.p50_ms:.2f} ms",
        f"{point.memory / 2**20:,.1f} MiB",
    ]


def _tell(version: str, tuned: Tuned) -> None:
    front = tuned.front
    if tuned.plan is not None:
        click.echo(f"Frozen for {version}: {tuned.plan.settings}.")
        click.echo("A comparison made before judged other settings: compare again to promote.")
    else:
        best = front.chosen
        click.secho(
            f"No way reaches {front.target:g}; the best keeps {best.recall:.4f}. Nothing was "
            "changed.", fg="yellow", err=True,
        )  # fmt: skip
    for point in front.smaller[:1]:
        click.echo(
            f"With {_keys(point)} and oversampling {point.oversampling} another build would keep "
            f"{point.recall:.4f} in {point.memory / 2**20:,.1f} MiB."
        )


def _keys(point: FrontPoint) -> str:
    """What to write into reindex.toml for a point's layout."""
    keys = f"store.prefix_dim = {point.prefix_dim}"
    if point.quantization == "none":
        return keys
    return f'{keys}, qdrant.quantization = "{point.quantization}"'
