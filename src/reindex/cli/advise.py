"""`reindex advise`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reindex.cli.amounts import duration, size
from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json, table

if TYPE_CHECKING:
    from reindex.advice.findings import Advice, Interval, Judged, Pilot, Rule
    from reindex.project import Project


@main.command()
@click.option("--base", "others", multiple=True, help="Another base model to measure beside.")
@click.option("--no-pilot", is_flag=True, help="Train nothing: rules and measurements alone.")
@click.option(
    "--budget", type=click.FloatRange(min=0, min_open=True), metavar="MINUTES",
    help="Time for the pilot. Default: advice.pilot_minutes.",
)  # fmt: skip
@json_option
@with_project
def advise(
    project: Project, others: tuple[str, ...], no_pilot: bool, budget: float | None, as_json: bool
) -> None:
    """Stay, synthesise pairs, fine-tune, or improve the pipeline? With the evidence.

    Measures what serves and the base on the judged queries, BM25 and hybrid search beside them,
    and what reindexing costs; trains on slices of the pairs to see what more of them would bring.
    """
    made = project.advise(others=others, pilot=not no_pilot, minutes=budget)
    if as_json:
        emit_json(made)
    else:
        show_advice(made)


def show_advice(made: Advice) -> None:
    """Evidence, rules, verdict; what is missing last."""
    from reindex.advice.findings import COURSES

    if made.judged is not None:
        _show_finds(made, made.judged)
    if made.pilot is not None:
        _show_pilot(made.pilot)
    if made.cost is not None:
        click.echo(
            f"A new model means embedding {made.cost.documents:,} documents: "
            f"{duration(made.cost.seconds)} at {made.cost.texts_per_second:,.0f} texts/s "
            f"({made.cost.measured}); {size(made.cost.memory)} of memory, {size(made.cost.disk)} "
            "of disk.\n"
        )
    rows = [
        [rule.name, rule.measured, _says(rule), rule.source]
        for rule in made.rules
    ]  # fmt: skip
    table(["rule", "measured", "says", "source"], rows)
    click.secho(f"Advice: {COURSES[made.course]}.", bold=True, nl=False)
    click.echo(f" {made.because}.")
    for step in made.next:
        click.echo(f"Next: {step}")
    for item in made.missing:
        click.secho(f"Not looked at: {item}", fg="yellow")


def _show_finds(made: Advice, judged: Judged) -> None:
    rows = [
        [item.name, _interval(item.recall), _interval(item.ndcg),
         "" if item.gain is None else item.gain.as_gain()]
        for item in made.finds
    ]  # fmt: skip
    title = (
        f"{judged.queries:,} {judged.split} queries in {judged.groups:,} groups, among "
        f"{judged.documents:,} of {judged.of_documents:,} documents"
    )
    table(
        ["search", f"recall@{judged.k}", f"nDCG@{judged.k}", "nDCG against the first"],
        rows,
        title=title,
    )
    if judged.recall_at_all is not None:
        click.echo(
            f"Among all {judged.of_documents:,} documents recall@{judged.k} of "
            f"{made.finds[0].name} is expected to be about {judged.recall_at_all:.3f}: it falls "
            "with every doubling, by what was measured on halves of the sample."
        )
    click.echo(f"These judged queries have been looked at {judged.uses} times to choose by.\n")


def _show_pilot(pilot: Pilot) -> None:
    rows = [
        [point.pairs, duration(point.seconds) if point.pairs else "",
         _interval(point.recall), _interval(point.ndcg)]
        for point in pilot.points
    ]  # fmt: skip
    table(
        ["pairs", "training", "recall", "nDCG"], rows, title="Pilot: trained on slices of the pairs"
    )
    guesses = [
        [item.metric, item.pairs, f"{item.value:.3f} ({item.low:.3f} to {item.high:.3f})",
         item.gains.as_gain(), f"{item.reach:.1f} x"]
        for item in pilot.estimates
    ]  # fmt: skip
    table(["estimate", "pairs", "reaches", "against the base", "largest slice"], guesses)
    click.echo("It does not know " + "; ".join(pilot.unknown) + ".\n")


def _interval(found: Interval) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _says(rule: Rule) -> str:
    return f"{rule.says} → {rule.votes}" if rule.votes else rule.says
