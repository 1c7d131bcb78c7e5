"""`reindex report`: a comparison as a page for people, as JSON, and as JUnit for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json

if TYPE_CHECKING:
    from reindex.project import Project

_FILE = click.Path(dir_okay=False, path_type=Path)


@main.command()
@click.argument("version")
@click.option("--against", help="The comparison with this version. Default: the newest.")
@click.option(
    "--output", "-o", type=_FILE, metavar="FILE",
    help="The page to write; - for stdout. Default: report-VERSION.html.",
)  # fmt: skip
@click.option("--junit", type=_FILE, metavar="FILE", help="A test case per gate condition, for CI.")
@json_option
@with_project
def report(
    project: Project, version: str, against: str | None, output: Path | None, junit: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Write a version's comparison as one HTML page: verdict, gate, metrics, examples, lineage.

    The page needs no network. With --json the same is printed as one JSON document, and with
    --junit written as a test suite (a condition that fails is a failure, an inconclusive one is
    skipped); both write no page unless --output asks for one. Reads the registry alone. Exits with
    0 whatever the verdict is: `reindex promote VERSION --dry-run` exits with it.
    """
    from reindex.report.files import write_junit, write_page

    found = project.report(version, against=against)
    if junit is not None:
        write_junit(found, junit)
        click.echo(f"JUnit: {junit}", err=True)
    if as_json:
        emit_json(found.as_dict())
    if str(output) == "-":
        from reindex.report.page import render

        click.echo(render(found))
    elif output is not None or not (as_json or junit):
        path = output or Path(f"report-{version}.html")
        write_page(found, path)
        click.echo(f"{found.sentence}\nReport: {path}", err=as_json)
