"""`reindex data`: the data that models are trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reindex.cli.app import EXIT_CODES, Group, json_option, main, with_project
from reindex.cli.output import emit_json

if TYPE_CHECKING:
    from reindex.project import Project


@main.group(cls=Group)
def data() -> None:
    """Look at training data, and make more of it."""


@data.command()
@click.argument("files", nargs=-1, type=Path)
@click.option(
    "--against",
    type=Path,
    multiple=True,
    help="Held-out data: none of its texts may be in FILES. Judged queries of the project are "
    "always looked for.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "info", "never"]),
    default="never",
    show_default=True,
    help="Exit with 3 if something at least this grave is found.",
)
@json_option
@with_project
def check(
    project: Project, files: tuple[Path, ...], against: tuple[Path, ...], fail_on: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Say what FILES, or the data of [train], hold, and what is wrong with them.

    Counts and lengths; bad and doubled rows, contradictions, texts of dev and test queries,
    negatives that look relevant.
    """
    from reindex.cli.data_table import show_report
    from reindex.stages.checking_data import check_data

    found = check_data(project, files, against)
    if as_json:
        emit_json(found)
    else:
        show_report(found)
    if found.reaches(fail_on):
        raise click.exceptions.Exit(EXIT_CODES["fail"])


@data.command()
@click.argument("file", required=False, type=Path)
@click.option(
    "--ratio",
    default="80/10/10",
    show_default=True,
    help="Shares of train, dev and test; two numbers: train and test.",
)
@click.option("--folds", type=click.IntRange(min=2), help="So many equal folds instead.")
@click.option("--seed", type=int, default=13, show_default=True, help="Draws among equal groups.")
@click.option("--beir", is_flag=True, help="Write a BEIR folder: corpus, queries, qrels.")
@click.option(
    "--output",
    "-o",
    type=Path,
    default=Path("splits"),
    show_default=True,
    help="Folder to write into.",
)
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@json_option
@with_project
def split(project: Project, file: Path | None, as_json: bool, **given: Any) -> None:
    """Cut FILE, or the data of [train], into parts that share nothing.

    Rows stay together that share a text or have nearly the same one.
    """
    from reindex.cli.data_table import shares_of, show_split
    from reindex.stages.splitting_data import Wanted, split_data

    shares = shares_of(given.pop("ratio"))
    written = split_data(project, file, Wanted(shares=shares, **given))
    emit_json(written) if as_json else show_split(written)
