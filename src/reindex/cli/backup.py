"""`reindex backup` and `reindex restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json

if TYPE_CHECKING:
    from reindex.project import Project
    from reindex.registry.backups import Backup
    from reindex.registry.replacing import Restored


@main.command()
@click.argument("target", type=Path, metavar="FILE|FOLDER")
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N",
    help="In a folder: remove the oldest backups but N.",
)  # fmt: skip
@json_option
@with_project
def backup(project: Project, target: Path, keep: int | None, as_json: bool) -> None:
    """Copy the registry into one file, while others read and write.

    FILE is new; in a FOLDER the file is named by the time. It is checked before it gets its name.
    In it: versions, runs, comparisons, promotions, single writes on their way, keys' hashes. Not in
    it: artifacts, collections, feedback; see docs/deploying.md.
    """
    from reindex.stages.backing_up import NOT_IN_IT

    done = project.backup(target, keep=keep)
    if as_json:
        emit_json(done)
        return
    click.echo(f"{done.backup.path}: {_contents(done.backup)}")
    for file in done.removed:
        click.echo(f"Removed: {file}")
    for part in done.not_in_it:
        click.echo(f"Not in it: {part} ({NOT_IN_IT[part]})")


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Also where the registry here has what FILE lacks.")
@click.option("--dry-run", is_flag=True, help="Check FILE and say what would be lost.")
@json_option
@with_project
def restore(project: Project, file: Path, force: bool, dry_run: bool, as_json: bool) -> None:
    """Make the registry what it was when the backup FILE was taken.

    FILE is checked first. Where the registry here has what FILE lacks, that is named and nothing is
    done without --force, which keeps a copy. Not done while the project has an owner or a run. API
    keys that were revoked since stay so; canaries that ran are ended.
    """
    done = project.restore(file, force=force, dry_run=dry_run)
    if as_json:
        emit_json(done)
    else:
        _show(done)


def _contents(backup: Backup) -> str:
    return (
        f"{backup.bytes / 1e6:,.1f} MB, {backup.versions} versions, {backup.collections} "
        f"collections, {backup.comparisons} comparisons, {backup.promotions} promotions"
    )


def _show(done: Restored) -> None:
    said = "Would restore" if done.dry_run else "Restored"
    click.echo(f"{said} {done.backup.when}: {_contents(done.backup)}")
    for table, count in done.lost.items():
        click.echo(f"Lost or back as they were: {count} rows of {table}")
    if done.alias is not None:
        click.echo(f"Live: {done.alias[0] or 'nothing'}, before: {done.alias[1] or 'nothing'}")
    if done.kept is not None:
        click.echo(f"What was here is kept: {done.kept}")
    for artifact in done.missing:
        click.echo(f"Missing: {artifact}. Copy it here from where it was kept.")
    if not done.dry_run:
        click.echo("Next: reindex status, which names every difference to the store.")
