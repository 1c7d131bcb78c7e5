"""`reindex data mine`: negatives for training pairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reindex.cli.app import json_option, with_project
from reindex.cli.data import data
from reindex.cli.model import training_settings
from reindex.cli.output import emit_json, shorten, table

if TYPE_CHECKING:
    from reindex.mining.results import MiningReport, Shown, Spread
    from reindex.project import Project

_OWN = (
    "number", "model", "cross_encoder", "phases", "depth", "skip", "relative_margin",
    "absolute_margin", "max_score",
)  # fmt: skip


@data.command()
@click.option("--output", type=Path, required=True, help="The JSONL file to write.")
@click.option("--pairs", type=Path, help="JSONL, CSV or Parquet of (query, positive[, …]).")
@click.option("--corpus", type=Path, help="BEIR folder whose documents and pairs to take.")
@click.option("--max-pairs", type=int, help="Use a random sample of this many pairs.")
@click.option("--seed", type=int, help="Seed of everything random.")
@click.option("--negatives", help="bm25, dense, random (several with commas), or mixed.")
@click.option("--number", type=int, help="Negatives per pair.")
@click.option("--model", help="Finds dense negatives and judges all: a version, folder, Hub id.")
@click.option("--cross-encoder", help="Judges in the model's place: a folder or Hub id.")
@click.option("--phases", type=int, help="A curriculum: so many negatives for each phase.")
@click.option("--depth", type=int, help="Candidates per query and source.")
@click.option("--skip", type=int, help="Leave out so many first candidates of every source.")
@click.option("--relative-margin", help="Share of the positive's score, or none.")
@click.option("--absolute-margin", type=float, help="Below the positive's score.")
@click.option("--max-score", type=float, help="Of a negative, by whatever judges.")
@json_option
@with_project
def mine(project: Project, output: Path, corpus: Path | None, as_json: bool, **given: Any) -> None:
    """Mine hard negatives for the training pairs; writes rows that `train --pairs` takes.

    Says what was taken from where, and what was refused as a likely false negative, and why.
    """
    from reindex.stages.mining_files import mine_file

    own = {name: given.pop(name) for name in _OWN}
    settings = training_settings(project, given, own)
    done = mine_file(project, settings, output.resolve(), corpus=corpus)
    if as_json:
        emit_json(done)
        return
    show_mined(done.report)
    for line in done.told:
        click.echo(line)
    if done.held_out:
        click.echo(f"{done.held_out} pairs were left out: their query is a judged one.")
    click.echo(f"Next: reindex train --pairs {output}")


def show_mined(report: MiningReport) -> None:
    """Sources, ranks, scores, refusals and examples."""
    each = f"{report.number}" + (f" × {report.phases} phases" if report.phases > 1 else "")
    title = f"{report.rows:,} of {report.pairs:,} pairs, negatives for each: {each}"
    rows = [
        [origin, count, _spread(report.ranks.get(origin)), _spread(report.scores.get(origin))]
        for origin, count in report.taken.items()
    ]
    rows.append(["positives", report.pairs, "", _spread(report.positives)])
    table(["source", "texts", "rank 5/50/95 %", "score 5/50/95 %"], rows, title=title)
    refused = [
        [origin, reason, count]
        for origin, reasons in report.refused.items()
        for reason, count in reasons.items()
    ]
    if refused:
        table(["source", "refused for", "candidates"], refused)
    _examples("taken", report.examples)
    _examples("refused", report.suspects)
    if report.cached:
        click.echo("This was mined before, from the same content; nothing was computed again.")


def _spread(spread: Spread | None) -> str:
    if spread is None or spread.highest == 0:  # random documents have no rank
        return "–"
    low, _, middle, _, high = spread.quantiles
    return f"{low:g} / {middle:g} / {high:g}"


def _examples(title: str, shown: tuple[Shown, ...]) -> None:
    rows = [
        [
            shorten(item.query, 50), shorten(item.positive, 50), shorten(item.other.text or "", 50),
            f"{item.other.origin} {item.other.rank}", _scores(item), item.reason,
        ]
        for item in shown
    ]  # fmt: skip
    if rows:
        table(["query", "positive", title, "rank", "scores", "for"], rows)


def _scores(item: Shown) -> str:
    scores = (item.positive_score, item.other.score)
    return " / ".join("–" if score is None else f"{score:.3f}" for score in scores)
