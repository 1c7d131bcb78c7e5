"""What `reindex data check`, `data split` and `train --folds` print for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reindex.cli.output import table

if TYPE_CHECKING:
    from reindex.stages.checking_data import DataReport
    from reindex.stages.folding import CrossValidation
    from reindex.stages.splitting_data import WrittenSplit


def _name(path: str) -> str:
    """A file's own name: tables are narrow, and findings have the whole path."""
    return path.rstrip("/").rpartition("/")[2]


COLOURS = {"error": "red", "warning": "yellow", "info": None}


def show_report(found: DataReport) -> None:
    """Files, lengths, then the findings with their examples."""
    rows = [
        [_name(item.path), item.kind, item.trains_as, item.rows, item.bad_rows, item.texts]
        for item in found.files
    ]
    if rows:
        table(["file", "kind", "trains as", "rows", "bad", "texts"], rows)
    lengths = [
        [_name(item.path), one.column, one.texts, one.mean, one.median, one.p95, one.longest,
         one.over, f"{one.limit or 'no limit'} {one.unit}"]
        for item in found.files
        for one in item.lengths
    ]  # fmt: skip
    if lengths:
        table(["file", "column", "texts", "mean", "median", "95 %", "longest", "cut", "at"],
              lengths)  # fmt: skip
    for item in found.files:
        for note in item.notes:
            click.echo(f"{item.path}: {note}")
        for reason, count in item.dropped.items():
            click.echo(f"{item.path}: {count:,} rows left out: {reason}")
    if not found.findings:
        click.echo("Nothing was found wrong.")
    for finding in found.findings:
        click.secho(f"{finding.severity}: {finding.check}: {finding.message}",
                    fg=COLOURS[finding.severity])  # fmt: skip
        for example in finding.examples:
            click.echo(f"    {example}")
        if finding.advice:
            click.echo(f"  {finding.advice}")


def shares_of(ratio: str) -> tuple[float, ...]:
    """``80/10/10`` or ``0.9/0.1`` as shares. Raises UsageError."""
    try:
        shares = tuple(float(part) for part in ratio.split("/"))
    except ValueError:
        shares = ()
    if len(shares) not in (2, 3) or not all(0 < share < float("inf") for share in shares):
        raise click.UsageError(
            f"--ratio: expected two or three numbers above 0, as in 80/10/10; got {ratio!r}."
        )
    return shares


def show_split(found: WrittenSplit) -> None:
    """The parts and their files."""
    total = sum(found.rows.values())
    rows = [[name, count, f"{count / total:.1%}"] for name, count in found.rows.items()]
    table(["part", "rows", "share"], rows)
    click.echo(f"{total:,} rows in {found.groups:,} groups; the largest has "
               f"{found.largest_group:,}.")  # fmt: skip
    if found.lopsided:
        click.secho("Most rows hang together, so the parts are not as asked: they share texts, or "
                    "nearly so.", fg="yellow")  # fmt: skip
    if found.bad_rows:
        click.secho(f"{found.bad_rows:,} rows could not be used; see `reindex data check`.",
                    fg="yellow")  # fmt: skip
    if found.weights_lost:
        click.secho("The rows have weights, for which a BEIR folder has no place.", fg="yellow")
    for path in found.files:
        click.echo(f"Written: {path}")


def show_folds(found: CrossValidation) -> None:
    """A line per fold, and the mean."""
    metrics = list(found.folds[0].after)
    columns = ["fold", "rows", "queries"]
    columns += [f"{name} {when}" for name in metrics for when in ("base", "tuned")]
    rows = [
        [str(fold.number), fold.rows, fold.queries]
        + [f"{at[name]:.4f}" for name in metrics for at in (fold.before, fold.after)]
        for fold in found.folds
    ]
    means = [f"{found.mean(when, name):.4f}" for name in metrics for when in ("before", "after")]
    table(columns, [*rows, ["mean", None, None, *means]])
    for name in metrics:
        gain = found.mean("after", name) - found.mean("before", name)
        click.echo(f"{name}: {gain:+.4f} on average, ± {found.deviation(name):.4f} between folds")
    click.echo(f"Searched in {found.documents:,} documents. No version was made: reindex train")
    for line in found.told:
        click.echo(line)
    if found.held_out:
        click.echo(f"{found.held_out} rows were left out: they hold a judged query.")
