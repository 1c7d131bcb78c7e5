"""`reindex watch`: what was promoted is looked after, and taken back where it disappoints."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reindex.cli.app import EXIT_CODES, Stopping, json_option, main
from reindex.cli.output import jsonable

if TYPE_CHECKING:
    from reindex.project import Project
    from reindex.stages.watchdog import WatchRound


@main.command()
@click.option("--dry-run", is_flag=True, help="Only say what it would do; write nothing down.")
@click.option("--once", is_flag=True, help="One round, for a timer; rounds in a row still count.")
@json_option
@click.pass_context
def watch(ctx: click.Context, /, *, dry_run: bool, once: bool, as_json: bool) -> None:
    """Watch what was promoted last; where it breaks a limit for long enough, roll back, once.

    Looks at errors, empty results, latency, scores, the overlap with the previous version and
    feedback, against the limits in [watch]. Ends when the version counts as healthy, was rolled
    back (exit code 3) or was superseded. With --json it prints a line per round.
    """
    from reindex.project import open_project
    from reindex.stages.watchdog import watch as keep_watch

    tell = _tell_json if as_json else _tell
    config: Path = ctx.obj
    if once and dry_run:
        raise click.UsageError("--dry-run remembers nothing between two runs: leave out --once.")
    stopping, done = Stopping(), None

    @contextlib.contextmanager
    def opened() -> Iterator[Project]:
        with stopping.work(), open_project(config) as project:
            yield project

    with stopping.listening():
        if once:
            with opened() as project:
                done = project.watch_round()
            tell(done)
        else:
            done = keep_watch(opened, dry_run=dry_run, tell=tell, stop=stopping.event)
    if stopping.event.is_set():  # how a watch ends, so no failure; the next one goes on
        click.echo("Stopped.", err=True)
    if done is not None and done.state in ("rolled back", "would roll back"):
        raise click.exceptions.Exit(EXIT_CODES["fail"])


def _tell(done: WatchRound) -> None:
    """A line per round, and one per broken limit."""
    now = datetime.now().strftime("%H:%M:%S")
    broken = [item for item in done.signals if item.broken]
    within = f"{len(done.signals) - len(broken)} of {len(done.signals)} signals within limits"
    within = within if done.signals else "too few queries and searches to judge"
    click.echo(f"{now} {done.version}, round {done.number}: {done.state}; {within}")
    for item in broken:
        click.secho(
            f"         {item.name}: {item.reason}; limit {item.limit:.3g}, broken in "
            f"{done.streaks.get(item.name, 0)} rounds in a row",
            fg="red",
        )  # fmt: skip
    for line in filter(None, (done.note, done.why)):
        click.echo(f"         {line}")
    if done.rollback is not None:
        back = done.rollback
        click.echo(f"{back.alias} -> {back.to_collection} (was {back.from_collection})")


def _tell_json(done: WatchRound) -> None:
    click.echo(json.dumps(done, default=jsonable, ensure_ascii=False))
