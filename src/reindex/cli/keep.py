"""`reindex sync`: collections are kept in step with the source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json, table

if TYPE_CHECKING:
    from reindex.project import Project
    from reindex.stages.syncing import Synced

_COUNTS = ("inserted", "updated", "payload_only", "deleted", "unchanged", "embedded", "dead")


@main.command()
@click.argument("versions", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every collection, candidates too.")
@click.option("--allow-deletes", is_flag=True, help="Delete even a large share of a collection.")
@click.option("--dry-run", is_flag=True, help="Say what would change; embed and write nothing.")
@json_option
@with_project
def sync(project: Project, versions: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Bring collections in step with the source, incrementally by hash.

    Without VERSIONS: what is live, and what was live before within the hold-over. Unchanged
    documents cost a look-up, nothing is embedded twice, and what the source no longer has is
    deleted. Exits with 1 where a collection could not be brought in step.
    """
    done = project.sync(*versions, **options)
    if as_json:
        emit_json(done)
    else:
        show_synced(done)
    if any(item.error for item in done):
        raise click.exceptions.Exit(1)


def show_synced(done: list[Synced]) -> None:
    """One row per collection; what went wrong below."""
    rows = [
        [item.collection, item.role, *(getattr(item.report, name) for name in _COUNTS)]
        for item in done
        if item.report is not None
    ]
    dry = any(item.dry_run for item in done)
    columns = ["would change" if dry else "collection", "", *_COUNTS]
    if rows:
        table([name.replace("_", " ") for name in columns], rows)
    for item in done:
        if item.error is not None:
            click.secho(f"{item.collection}: {item.error}", fg="red", err=True)
