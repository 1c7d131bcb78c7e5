"""`reindex trials`, and what `reindex train --trials` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reindex.cli.amounts import duration
from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json, table

if TYPE_CHECKING:
    from reindex.project import Project
    from reindex.registry.trials import Study, Trial
    from reindex.stages.trials import Searched


@main.command()
@json_option
@with_project
def trials(project: Project, as_json: bool) -> None:
    """Every trial of every search over recipes (`reindex train --trials`)."""
    found = project.trials()
    if as_json:
        emit_json([{"study": study, "trials": tried} for study, tried in found])
        return
    if not found:
        click.echo("No recipes were searched yet: reindex train --trials 20")
    for study, tried in found:
        show_study(study, tried)


def show_study(study: Study, tried: list[Trial]) -> None:
    """A study's trials in their order, and why those failed that did."""
    rows = [
        [trial.number, trial.state, _figure(trial.value), len(trial.history),
         duration(trial.seconds), _params(trial.params)]
        for trial in tried
    ]  # fmt: skip
    became = f", became {study.version}" if study.version else ""
    title = f"Study {study.id}: {study.base} on {study.examples:,} pairs, seed {study.seed}{became}"
    table(["trial", "state", study.metric, "looks", "time", "recipe"], rows, title=title)
    if study.before:
        click.echo(f"The base reaches {study.before[study.metric]:.4f}.")
    for trial in tried:
        if trial.state == "failed":
            click.secho(f"Trial {trial.number} failed: {trial.why}", fg="yellow")


def show_searched(found: Searched) -> None:
    """The trials, the version, and how far its dev figure can be believed."""
    show_study(found.study, list(found.trials))
    version = found.trained.version
    click.echo(f"{version.name} is trial {found.best.number}: {_params(found.best.params)}.")
    click.echo(
        f"The dev set has been looked at {found.looks} times to choose by. The best of "
        f"{len(found.trials)} looks better on dev than it is: only `reindex compare`, on queries "
        "that chose nothing, says what it brings."
    )
    click.echo(f"Next: reindex export {version.name}")


def _params(params: Any) -> str:
    return ", ".join(f"{name} {_figure(value)}" for name, value in sorted(params.items()))


def _figure(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value
