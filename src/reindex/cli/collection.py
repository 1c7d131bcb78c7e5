"""`reindex build`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reindex.cli.amounts import BudgetLimit
from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json, table

if TYPE_CHECKING:
    from reindex.build import BuildReport
    from reindex.project import Project

_ROWS = (
    "documents", "inserted", "updated", "payload_only", "unchanged", "deleted", "embedded",
    "cached", "reused", "dead", "failed", "conflicts", "points",
)  # fmt: skip


@main.command()
@click.argument("version")
@click.option("--allow-deletes", is_flag=True, help="Delete even a large share of the collection.")
@click.option(
    "--budget",
    type=BudgetLimit(),
    metavar="TIME|DOCUMENTS",
    help="End after this time (30m, 2h) or so many documents (100000), with everything kept.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where texts are embedded: in this process, or by the workers of a Ray cluster.",
)
@click.option("--address", metavar="HOST:PORT", help="The Ray cluster (with --engine ray).")
@click.option(
    "--early-stop/--no-early-stop",
    default=None,
    help="Look at a few documents first; stop where it is clearly worse. [build.early_stop]",
)
@json_option
@with_project
def build(project: Project, version: str, as_json: bool, **given: Any) -> None:
    """Make the version's collection equal to the source.

    Resumable and idempotent: killed anywhere and run again it embeds only what is missing.
    Where a --budget ends it, the exit code is 0 and the collection is not complete yet.
    Where an early look shows the version to be clearly worse than what is live, it is 3, and
    nothing was built.
    """
    if given["address"] and given["engine"] != "ray":
        raise click.UsageError("--address names a Ray cluster; it needs --engine ray.")
    report = project.build(version, **given)
    if as_json:
        emit_json(report)
        return
    show_build(project, version, report)


def show_build(project: Project, version: str, report: BuildReport) -> None:
    """Counts, and where bad rows went."""
    rows = [[name.replace("_", " "), getattr(report, name)] for name in _ROWS]
    shown = [row for row in rows if row[1] or row[0] in ("documents", "points", "embedded")]
    _tell_look(project)
    table([project.settings.collection(version), "count"], shown)
    click.echo(f"{report.seconds:.1f} s, {report.documents_per_second:,.0f} documents/s")
    if report.stopped:
        again = f"What was done is kept. Go on with: reindex build {version}"
        click.secho(f"Not complete: {report.stopped}. {again}", fg="yellow", err=True)
    if report.dead:
        click.echo(f"Bad rows are kept in {project.settings.home / 'dead-letters'}")


def _tell_look(project: Project) -> None:
    """What a look before this build found, if there was one."""
    for run in project.registry.runs(limit=1):
        if found := run.details.get("early_look"):
            click.echo(f"Not clearly worse at an early look: {found['look']}")
