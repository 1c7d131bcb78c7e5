"""`reindex own` and `jobs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json, moment, shorten, table

if TYPE_CHECKING:
    from reindex.project import Project


@main.command()
@json_option
@with_project
def own(project: Project, as_json: bool) -> None:
    """Own the embedded store until Ctrl-C or SIGTERM: other terminals' commands run in here.

    One process at a time can have an embedded collection open. While this one runs, build,
    compare, rollback, gc and search from other terminals are done by it, as if they ran there.
    At the end, a running job is stopped with everything kept, and the store is free again.
    """
    with project.own(log=lambda line: click.echo(line, err=True)) as owner:
        if as_json:
            emit_json(owner.record)
        else:
            click.echo(f"Owner of {project.settings.project.name!r}: {owner.record}")
            click.echo("Other terminals' commands run in here. Ctrl-C ends it.")
        owner.wait()


@main.command()
@json_option
@with_project
def jobs(project: Project, as_json: bool) -> None:
    """What runs and waits in the owner process."""
    from reindex.owner.client import running_jobs

    owner, found = running_jobs(project)
    if as_json:
        emit_json({"owner": owner, "jobs": found})
        return
    click.echo(f"Owner: {owner}" if owner else "This project has no owner; see `reindex own`.")
    rows = [
        [item["job"], item["kind"], shorten(str(item["arguments"]), 60), item["state"],
         moment(item["since"]), item["pid"]]
        for item in found
    ]  # fmt: skip
    if rows:
        table(["job", "kind", "arguments", "state", "since (UTC)", "asked by pid"], rows)
