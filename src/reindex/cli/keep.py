"""`reindex sync`: collections are kept in step with the source, once or for good."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reindex.cli.app import Stopping, json_option, main, with_project
from reindex.cli.output import emit_json, jsonable, table

if TYPE_CHECKING:
    from reindex.project import Project
    from reindex.stages.syncing import Synced
    from reindex.stages.watching import Round

_COUNTS = ("inserted", "updated", "payload_only", "deleted", "unchanged", "embedded", "dead")


@main.command()
@click.argument("versions", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every collection, candidates too.")
@click.option("--allow-deletes", is_flag=True, help="Delete even a large share of a collection.")
@click.option("--dry-run", is_flag=True, help="Say what would change; embed and write nothing.")
@click.option("--repair", is_flag=True, help="Also take in points that other clients wrote.")
@click.option("--watch", is_flag=True, help="Go on: sync again after each change, until Ctrl-C.")
@click.option(
    "--interval", type=click.FloatRange(min=1), metavar="SECONDS",
    help="Go on: sync every so often. SQL sources with --watch: 60 unless given.",
)  # fmt: skip
@json_option
@click.pass_context
def sync(
    ctx: click.Context, /, *, watch: bool, interval: float | None, as_json: bool, **options: Any
) -> None:
    """Bring collections in step with the source, incrementally by hash.

    Without VERSIONS: what is live, and what was live before within the hold-over. Unchanged
    documents cost a look-up, nothing is embedded twice, and what the source no longer has is
    deleted. Exits with 1 where a collection could not be brought in step.

    With --watch or --interval it goes on until Ctrl-C or SIGTERM; a run that fails is tried again.
    With --json it prints a line per run then.
    """
    if options["repair"] and options["dry_run"]:
        raise click.UsageError("--repair has no --dry-run: `reindex doctor` finds such points.")
    if watch or interval:
        if options["dry_run"]:
            raise click.UsageError("--dry-run is said once: leave out --watch and --interval.")
        _keep_on(ctx.obj, interval, as_json, options)
        return
    done: list[Synced] = ctx.invoke(_once, **options)
    if as_json:
        emit_json(done)
    else:
        show_synced(done)
    if any(item.error for item in done):
        raise click.exceptions.Exit(1)


@with_project
def _once(project: Project, versions: tuple[str, ...], **options: Any) -> list[Synced]:
    return project.sync(*versions, **options)


def show_synced(done: Sequence[Synced]) -> None:
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
        if item.repaired is not None:
            shown = f"{item.repaired.updated:,} points of other clients taken in"
            left = f", {item.repaired.dead:,} without a text left" if item.repaired.dead else ""
            click.echo(f"{item.collection}: {shown}{left}")
        if item.error is not None:
            click.secho(f"{item.collection}: {item.error}", fg="red", err=True)


# -- for good


def _keep_on(config: Path, interval: float | None, as_json: bool, options: Any) -> None:
    from reindex.project import open_project
    from reindex.stages.watching import watch

    def run() -> list[Synced]:
        with stopping.work(), open_project(config) as project:  # nothing is open between two runs
            return project.sync(*options["versions"], **rest)

    rest = {name: value for name, value in options.items() if name != "versions"}
    with open_project(config) as project:
        source = project.source
    tell = _tell_json if as_json else partial(_tell, seen=set())
    stopping = Stopping()
    with stopping.listening():
        watch(run, source, interval=interval, tell=tell, stop=stopping.event)
    click.echo("Stopped.", err=True)  # how a watch ends, so no failure; what a run did is kept


def _tell(ended: Round, seen: set[str]) -> None:
    """A line per collection that changed; an error once, until a run without any."""
    now = datetime.now().strftime("%H:%M:%S")
    first = "started" not in seen
    seen.add("started")
    for item in ended.done:
        if item.report is not None and (item.changed or first):
            counts = ((name, getattr(item.report, name)) for name in _COUNTS)
            shown = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in counts if n)
            click.echo(f"{now} {item.collection}: {shown or 'empty'}")
    for error in map(str, ended.errors):
        if error not in seen:
            click.secho(f"{now} {error}", fg="red", err=True)
            if ended.retry_in is not None:
                click.echo(f"{now} trying again in {ended.retry_in:.0f} s", err=True)
        seen.add(error)
    if not ended.errors:
        seen.intersection_update({"started"})


def _tell_json(ended: Round) -> None:
    errors = list(map(str, ended.errors))
    document = {"collections": ended.done, "errors": errors, "retry_in": ended.retry_in}
    click.echo(json.dumps(document, default=jsonable, ensure_ascii=False))
