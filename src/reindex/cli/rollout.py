"""`reindex canary`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from reindex.cli.amounts import Percentage
from reindex.cli.app import exit_with, json_option, main, with_project
from reindex.cli.output import emit_json, moment, table

if TYPE_CHECKING:
    from reindex.project import Project
    from reindex.registry.canaries import Canary
    from reindex.rollout.outcomes import SideFigures
    from reindex.rollout.standing import Standing


@main.command()
@click.argument("version", required=False)
@click.option(
    "--weight", type=Percentage(), metavar="SHARE",
    help="Share of the keys that the candidate answers: 10%, 0.1. 0% is a shadow, the default.",
)  # fmt: skip
@click.option(
    "--interleave/--split", default=None,
    help="Those keys get lists that both versions drafted, or the candidate's own (default).",
)  # fmt: skip
@click.option("--off", is_flag=True, help="End it: what is live answers everybody again.")
@click.option("--reason", default="", help="Why it ends; kept with --off.")
@click.option("--status", is_flag=True, help="What it has shown so far, with a verdict.")
@json_option
@with_project
def canary(
    project: Project, version: str | None, off: bool, reason: str, status: bool, as_json: bool,
    **given: Any,
) -> None:  # fmt: skip
    """Let a candidate answer a share of the keys beside what is live, or only beside, unseen.

    Again with another weight: what serves sees it without a restart, and who was on the
    candidate's side stays on it while the weight grows. With --status it exits with 3 where the
    candidate is shown to be worse, with 4 where nothing is shown yet.
    """
    changes = version is not None or any(value is not None for value in given.values())
    if (off or status) and changes:
        raise click.UsageError("--off and --status are said alone.")
    if off:
        _tell(project.end_canary(reason), as_json)
    elif status or not changes:
        _show(project.canary_standing(), as_json)
    else:
        _tell(project.canary(version, **given), as_json)


def _tell(canary: Canary, as_json: bool) -> None:
    if as_json:
        emit_json(canary)
    elif canary.ended_at:
        click.echo(
            f"{canary.live_version} answers everybody; the canary of {canary.version} ended."
        )
    else:
        click.echo(describe(canary))


def describe(canary: Canary) -> str:
    """One line: what the candidate does."""
    share = f"{100 * canary.weight:.4g} %"
    what = {
        "split": f"answers {share} of the keys",
        "interleave": f"drafts lists with it for {share} of the keys",
    }[canary.mode]
    if canary.weight == 0:
        what = "searches beside every answer, unseen"
    return f"canary: {canary.version} beside {canary.live_version}: {what}"


def _show(standing: Standing | None, as_json: bool) -> None:
    if as_json:
        emit_json(standing)
    elif standing is None:
        click.echo("There was no canary yet. Start one: reindex canary v2 --weight 10%")
    else:
        _show_standing(standing)
    if standing is not None and standing.verdict is not None:
        exit_with(standing.verdict)


def _show_standing(standing: Standing) -> None:
    canary = standing.canary
    sides = [f"{item.side} ({_version(canary, item)})" for item in standing.sides]
    click.echo(describe(canary))
    table(["", *sides], _rows(standing.sides))
    if canary.ended_at:
        click.echo(f"Ended {moment(canary.ended_at)} UTC by {canary.ended_by}. {canary.why}")
    click.echo(
        f"{standing.counted:,} keys counted, {standing.waiting:,} whose window is still open."
    )
    apart, preferred = standing.difference, standing.preference
    if apart is not None and apart.low is not None:
        click.echo(
            f"Success per key, candidate - live: {apart.estimate:+.3f} "
            f"[{apart.low:+.3f}, {apart.high:+.3f}], valid at every look."
        )
    if preferred is not None:
        click.echo(
            f"Interleaved: {preferred.wins:,} keys for the candidate, {preferred.losses:,} for "
            f"live, {preferred.ties:,} for neither; the candidate's share of the wins is in "
            f"[{preferred.low:.3f}, {preferred.high:.3f}]."
        )
    click.echo(f"Verdict: {standing.verdict or 'none'}. {standing.reason}")


def _version(canary: Canary, item: SideFigures) -> str:
    return {"live": canary.live_version, "interleaved": "both"}.get(item.side, canary.version)


def _rows(sides: Sequence[SideFigures]) -> Iterator[list[str]]:
    """A line for each figure, a column for each side: that fits any screen."""
    for name, tell in _FIGURES.items():
        yield [name, *("–" if (told := tell(item)) is None else told for item in sides)]


def _fixed(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"


_FIGURES: dict[str, Callable[[SideFigures], str | None]] = {
    "keys": lambda item: f"{item.keys:,}",
    "searches": lambda item: f"{item.searches:,}",
    "successes": lambda item: f"{item.served:,}",
    "rate": lambda item: _fixed(item.success_rate, 3),
    "empty": lambda item: f"{item.empty:,}",
    "errors": lambda item: f"{item.errors:,}",
    "median ms": lambda item: _fixed(item.p50_ms, 1),
    "p95 ms": lambda item: _fixed(item.p95_ms, 1),
    "overlap": lambda item: _fixed(item.overlap, 3),
}
