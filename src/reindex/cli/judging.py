"""`reindex figures` and `approve`: what the gate asks, and who says yes."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json, table

if TYPE_CHECKING:
    from reindex.project import Project


@main.command()
@click.argument("version")
@click.argument("names", nargs=-1, metavar="[FIGURE]…")
@json_option
@with_project
def figures(project: Project, version: str, names: tuple[str, ...], as_json: bool) -> None:
    """Every figure of a version's comparison, by the name that gate.conditions use.

    FIGURE chooses some, with * within a segment: 'slice.*.recall@10.change'.
    """
    known = {figure.name: figure for figure in project.figures(version)}
    found = [known[name] for name in _chosen(version, names, known, project.settings.evaluation.k)]
    if as_json:
        emit_json(found)
        return
    if found:
        rows = [[figure.name, str(figure), figure.sentence] for figure in found]
        table(["figure", "value", "what it is"], rows)
    else:
        click.echo(f"{version} is not built yet, so there is nothing to show.", err=True)


def _chosen(version: str, names: tuple[str, ...], known: Collection[str], k: int) -> list[str]:
    """Those that the arguments stand for, each once; all without arguments."""
    from reindex.gate.rules import meant, unknown

    for wanted in names:
        if meant(wanted, known, k):
            continue
        why = unknown(wanted, known, k)
        if "queries" not in known:  # which every comparison has
            why = (
                f"{version} was not compared with what is live yet. Run: reindex compare {version}"
            )
        raise click.BadArgumentUsage(f"{wanted}: {why}")
    chosen = (name for wanted in names for name in meant(wanted, known, k))
    return list(dict.fromkeys(chosen if names else known))


@main.command()
@click.argument("version")
@click.option("--by", required=True, metavar="NAME", help="Who approves.")
@click.option("--note", default="", help="Kept with the approval.")
@click.option("--revoke", is_flag=True, help="Take back the approvals of the version instead.")
@json_option
@with_project
def approve(
    project: Project, version: str, by: str, note: str, revoke: bool, as_json: bool
) -> None:
    """Approve a version's build upon its last comparison with what is live.

    It counts for this very build and comparison: after another build or comparison it is to be
    given again. `gate.require_approval`, or `promote --require-approval`, asks for it.
    """
    if revoke:
        taken = project.revoke(version, by=by)
        if as_json:
            emit_json({"revoked": taken})
        else:
            names = ", ".join(dict.fromkeys(item.approved_by for item in taken))
            click.echo(f"{by} takes back the approval of {version} by {names}.")
        return
    done = project.approve(version, by=by, note=note)
    if as_json:
        emit_json(done)
        return
    upon = f"comparison {done.comparison}" if done.comparison else "its build, nothing being live"
    click.echo(f"{done.approved_by} approves {done.version} ({done.collection}) upon {upon}.")
