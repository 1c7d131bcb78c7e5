"""`reindex data`: the data that models are trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reindex.cli.app import Group, json_option, main, with_project
from reindex.cli.output import emit_json, table

if TYPE_CHECKING:
    from reindex.project import Project


@main.group(cls=Group)
def data() -> None:
    """Look at training data, and make more of it."""


@data.command()
@click.argument("files", nargs=-1, type=Path)
@json_option
@with_project
def check(project: Project, files: tuple[Path, ...], as_json: bool) -> None:
    """Say what FILES, or the files of [train], hold."""
    from reindex.stages.checking_data import check_data

    found = check_data(project, files)
    if as_json:
        emit_json({"files": found})
        return
    rows = [[item.path, item.kind, item.rows, item.bad_rows, item.texts] for item in found]
    table(["file", "kind", "rows", "bad rows", "different texts"], rows)
