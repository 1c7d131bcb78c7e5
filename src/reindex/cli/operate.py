"""`reindex throttle`, `pause`, `resume` and `cancel`: to runs, whatever terminal they run in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reindex.cli.amounts import Rate, duration
from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from reindex.project import Project
    from reindex.registry.control import RunningRun, Verb


@main.command()
@click.argument("rate", type=Rate(), metavar="RATE|off")
@json_option
@with_project
def throttle(project: Project, rate: float | None, as_json: bool) -> None:
    """Let runs of this project embed and write at most RATE documents a second: 200/s, 600/min.

    Takes effect within a second or so, also for what runs in another terminal, and stays for later
    runs until it is changed or lifted with `off`.
    """
    project.throttle(rate)
    if as_json:
        emit_json({"per_second": rate})
    elif rate is None:
        click.echo("No throttle: as fast as it goes.")
    else:
        click.echo(
            f"At most {rate:,.4g} documents a second, each run, until `reindex throttle off`."
        )


_VERBS: dict[Verb, tuple[str, str]] = {
    "pause": (
        "Hold what runs, in whatever terminal, until `reindex resume`.",
        "It waits at its next batch and keeps its lock and what it has open.",
    ),
    "resume": ("Let what was paused go on.", ""),
    "cancel": (
        "End what runs, in whatever terminal.",
        "It ends at its next batch. What was done is kept, nothing is deleted, and the same "
        "command goes on from there.",
    ),
}


def _command(verb: Verb) -> Callable[..., None]:
    @click.argument("version", required=False)
    @json_option
    @with_project
    def order(project: Project, version: str | None, as_json: bool) -> None:
        runs = project.ask(verb, version)
        if as_json:
            emit_json({"asked": verb, "runs": runs})
            return
        for run in runs:
            click.echo(f"{verb}: {run.task} (run {run.id}, process {run.pid} on {run.host})")

    first, second = _VERBS[verb]
    order.__doc__ = f"{first}\n\n{second} With VERSION only runs of that version.".strip()
    return order


for _verb in _VERBS:
    main.command(_verb)(_command(_verb))


@main.command("retry-failed")
@click.argument("version", required=False)
@json_option
@with_project
def retry_failed(project: Project, version: str | None, as_json: bool) -> None:
    """Try the documents in the dead letters of the last build again, and these alone.

    What succeeds leaves the dead-letter file; what is still bad stays, with its new reason.
    """
    outcome = project.retry_failed(version)
    if as_json:
        emit_json(outcome)
        return
    if not outcome.tried:
        click.echo(f"The last build of {outcome.version} left no dead letters.")
        return
    mended = outcome.tried - outcome.left
    click.echo(f"{outcome.version}: {outcome.tried:,} tried, {mended:,} mended or gone.")
    for reason, number in outcome.reasons.items():
        click.echo(f"  still bad: {reason} ({number:,})")
    if outcome.left:
        click.echo(f"They are in {outcome.file}")


def describe(run: RunningRun) -> str:
    """One line: what runs, how far it is, how fast, how long still, and who holds it up."""
    far = f"{run.stage} {run.done:,}" if run.stage else "starting"
    if run.stage and run.total:
        far += f" of {run.total:,} ({run.done / run.total:.0%})"
    parts = [f"running: {run.task}", far]
    if run.order == "cancel":
        parts.append(f"being cancelled by {run.ordered_by}")
    elif run.order == "pause":
        parts.append(f"paused by {run.ordered_by}")
    else:
        parts += [f"{run.rate:,.0f}/s"] if run.rate else []
        parts += [f"{duration(run.seconds_left)} left"] if run.seconds_left is not None else []
    since = run.since[:19].replace("T", " ")
    return ", ".join(parts) + f" (run {run.id}, {run.who}, pid {run.pid}, since {since} UTC)"
