"""`reindex data`: the data that models are trained on."""

from __future__ import annotations

from collections.abc import Callable
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


def _how(ctx: click.Context, _: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """``role=column`` pairs as a mapping."""
    pairs = [item.partition("=") for item in given]
    wrong = [item for item, (role, sign, name) in zip(given, pairs, strict=True) if not name]
    if wrong:
        raise click.BadParameter(f"expected ROLE=COLUMN (anchor=title), got {wrong[0]!r}", ctx)
    return {role: name for role, _, name in pairs}


def _kind(ctx: click.Context, _: click.Parameter, given: str | None) -> str | None:
    """One of the kinds; looked up when it is asked for, so that ``--help`` loads nothing."""
    from reindex.config.training_data import DATA_KINDS

    if given is not None and given not in DATA_KINDS:
        raise click.BadParameter(f"expected one of {', '.join(DATA_KINDS)}, got {given!r}", ctx)
    return given


def file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--kind`` and ``--columns``: what a file holds, where it cannot be told from it."""
    kind = click.option(
        "--kind", callback=_kind, help="What the rows are: pairs, triplets, scored…"
    )
    columns = click.option(
        "--columns", multiple=True, callback=_how, metavar="ROLE=COLUMN",
        help="Where names are not recognised: anchor=title; again for several.",
    )  # fmt: skip
    return kind(columns(command))


def _told(files: bool, kind: str | None, columns: dict[str, str]) -> dict[str, Any]:
    """As keys of [[train.data]]; they say what named files hold, not what the config names."""
    how = {key: value for key, value in (("kind", kind), ("columns", columns)) if value}
    if how and not files:
        raise click.UsageError(
            "--kind and --columns say what a named file holds. Name it, or set kind and columns in "
            "[[train.data]]."
        )
    return how


@data.command()
@click.argument("files", nargs=-1, type=Path)
@file_options
@click.option(
    "--model",
    help="Also judge negatives by this model: a version, a folder, a Hub id or package:NAME.",
)
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
    project: Project, files: tuple[Path, ...], fail_on: str, as_json: bool, **given: Any
) -> None:
    """Say what FILES, or the data of [train], hold, and what is wrong with them.

    Counts and lengths; bad and doubled rows, contradictions, texts of dev and test queries,
    negatives that look relevant.
    """
    from reindex.cli.data_table import show_report
    from reindex.stages.checking_data import check_data

    how = _told(bool(files), given["kind"], given["columns"])
    found = check_data(project, files, given["against"], how=how, model=given["model"])
    if as_json:
        emit_json(found)
    else:
        show_report(found)
    if found.reaches(fail_on):
        raise click.exceptions.Exit(EXIT_CODES["fail"])


@data.command()
@click.argument("file", required=False, type=Path)
@file_options
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
    how = _told(file is not None, given.pop("kind"), given.pop("columns"))
    written = split_data(project, file, Wanted(shares=shares, **given), how=how)
    emit_json(written) if as_json else show_split(written)
