"""`reindex status`, `versions`, `history` and `gc`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from reindex.cli.app import json_option, main, with_project
from reindex.cli.moments import Moment, show_live_at
from reindex.cli.operate import describe
from reindex.cli.output import emit_json, moment, table
from reindex.cli.rollout import describe as describe_canary

if TYPE_CHECKING:
    from datetime import datetime

    from reindex.project import Project
    from reindex.stages.upkeep import Status


WATCH_S = 2.0
"""Seconds between two looks of `status --watch`."""


@main.command()
@click.option("--watch", is_flag=True, help="Look again every two seconds while anything runs.")
@click.option("--at", type=Moment(), help="Only what was live then: '2026-11-01 12:00' (UTC).")
@json_option
@with_project
def status(project: Project, watch: bool, at: datetime | None, as_json: bool) -> None:
    """What is live, what is built, what runs, and where registry and store disagree."""
    if watch and as_json:
        raise click.UsageError("--watch is for people; --json prints one document.")
    if at is not None:
        then = project.live_at(at)
        emit_json(then) if as_json else show_live_at(then)
        return
    found = project.status()
    if as_json:
        emit_json(found)
        return
    show_status(project, found)
    while watch and found.running:
        time.sleep(WATCH_S)
        found = project.status()
        click.clear()  # does nothing where stdout is no terminal
        show_status(project, found)


def show_status(project: Project, found: Status) -> None:
    """Collections, runs, single writes and differences."""
    live = f"{found.live_version} ({found.live_collection})" if found.live_collection else "nothing"
    click.echo(f"{found.project}: alias {found.alias!r} -> {live}")
    if owner := project.other_owner():
        click.echo(f"owner: {owner}")
    columns = ["collection", "state", "points", "coverage", "built (UTC)", ""]
    rows = [
        [item.name, item.state, item.points, f"{item.coverage:.1%}", moment(item.built_at),
         item.role]
        for item in found.collections
    ]  # fmt: skip
    if rows:
        table(columns, rows)
    for run in found.running:
        click.echo(describe(run))
    if found.throttle is not None:
        rate, who = found.throttle.per_second, found.throttle.who
        click.echo(f"throttle: {rate:,.4g} documents/s, set by {who}")
    if found.canary is not None:
        click.echo(describe_canary(found.canary))
    show_single_writes(found)
    for difference in found.differences:
        click.secho(f"differs: {difference}", fg="yellow")


def show_single_writes(found: Status) -> None:
    """Where single writes go beside the live collection, and what is not there yet."""
    if found.write_targets:
        names = ", ".join(f"{item.collection} ({item.role})" for item in found.write_targets)
        click.echo(f"single writes also go to: {names}")
    for item in found.owed:
        why = f": {item.error}" if item.error else ""
        click.secho(f"{item.collection} is owed {item.writes:,} single writes{why}", fg="yellow")
    for sweep in found.sweeps:
        click.secho(
            f"late writes are still to be brought from {sweep.from_collection} to "
            f"{sweep.to_collection}; the next promote, rollback or build does it",
            fg="yellow",
        )


@main.command()
@json_option
@with_project
def versions(project: Project, as_json: bool) -> None:
    """All versions with their base, state and dev metrics."""
    found = project.registry.versions()
    if as_json:
        emit_json(found)
        return
    rows = [
        [item.name, item.kind, item.state, item.dim, _ndcg(item.metrics), moment(item.created_at),
         item.base]
        for item in found
    ]  # fmt: skip
    table(["version", "kind", "state", "dims", "nDCG@10", "created (UTC)", "base"], rows)


def _ndcg(metrics: dict[str, dict[str, float]]) -> str:
    after = metrics.get("after") or {}
    return f"{after['ndcg@10']:.4f}" if "ndcg@10" in after else "–"


@main.command()
@click.option("--at", type=Moment(), help="Only what was live then: '2026-11-01 12:00' (UTC).")
@json_option
@with_project
def history(project: Project, at: datetime | None, as_json: bool) -> None:
    """Every flip of the alias: who, when, why."""
    if at is not None:
        then = project.live_at(at)
        emit_json(then) if as_json else show_live_at(then)
        return
    found = project.history()
    if as_json:
        emit_json(found)
        return
    from reindex.stages.recalling import why

    rows = [
        [item.id, ("forced " if item.forced else "") + item.kind, item.to_collection, item.state,
         moment(item.finished_at), item.who, why(project, item)]
        for item in found
    ]  # fmt: skip
    table(["#", "kind", "to", "state", "when (UTC)", "who", "why"], rows)


@main.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--vectors", is_flag=True, help="Remove all kept vectors of documents, too.")
@json_option
@with_project
def gc(project: Project, dry_run: bool, vectors: bool, as_json: bool) -> None:
    """Drop collections that are neither live, nor previous, nor younger than the hold-over.

    Versions, artifacts and the history stay: a dropped collection can be built again. Kept
    vectors stay as long as a version can use them.
    """
    cleaned = project.gc(dry_run=dry_run, vectors=vectors)
    if as_json:
        emit_json(cleaned)
        return
    for name in cleaned.removed:
        click.echo(f"{'would remove' if dry_run else 'removed'} {name}")
    for name, reason in cleaned.kept:
        click.echo(f"kept {name}: {reason}")
    if cleaned.vectors_removed or cleaned.vectors_kept:
        click.echo(
            f"vectors of documents: {'would remove' if dry_run else 'removed'} "
            f"{cleaned.vectors_removed / 1e6:,.1f} MB, kept {cleaned.vectors_kept / 1e6:,.1f} MB"
        )
