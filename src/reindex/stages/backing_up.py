"""The registry's backup and restore, and what of a project they do not hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from reindex.errors import ConfigError
from reindex.promotion import operator
from reindex.registry import REGISTRY_NAME
from reindex.registry.backups import Backup, back_up, prune
from reindex.registry.interactions import INTERACTIONS_NAME
from reindex.registry.replacing import Restored
from reindex.registry.restoring import restore
from reindex.workspace import Workspace

NOT_IN_IT = {
    "artifacts": "the versions' models: immutable, to be copied once each",
    "checkpoints": "base models as adopted; to be adopted again",
    "runs": "what trainings keep to be resumed",
    "store": "the embedded collections: `reindex build` makes them again",
    "vectors": "kept vectors of documents: a build embeds again what is not there",
    INTERACTIONS_NAME: "searches and feedback of gradual rollouts",
}
"""Part of the project's home -> what is lost without it."""


@dataclass(frozen=True, slots=True)
class BackedUp:
    """A backup that was made. ``removed`` are older ones that made room, ``not_in_it`` the parts
    of the project's home that are there and that it does not hold.
    """

    backup: Backup
    removed: tuple[Path, ...]
    not_in_it: tuple[str, ...]


def back_up_registry(workspace: Workspace, target: Path, *, keep: int | None = None) -> BackedUp:
    """Copy the registry to ``target``, a new file or a folder of dated ones, while others work.

    ``keep``: in a folder, remove the oldest but so many.

    Raises:
        RegistryError: the file exists already. DiskFull: it does not fit.
        ConfigError: ``keep`` without a folder.
    """
    if keep is not None and not target.is_dir():
        raise ConfigError(f"Backups are removed in a folder alone, and {target} is none.")
    made = back_up(workspace.registry, target)
    removed = prune(target, keep) if keep is not None else []
    home = workspace.settings.home
    parts = tuple(name for name in NOT_IN_IT if (home / name).exists())
    return BackedUp(made, tuple(removed), parts)


def restore_registry(
    workspace: Workspace, backup: Path, *, force: bool = False, dry_run: bool = False
) -> Restored:
    """Make the project's registry what it was when ``backup`` was taken; see `registry.restoring`.

    Raises:
        Conflict: the project has an owner, something runs, or something would be lost.
        RegistryError: the backup is missing or damaged.
    """
    settings = workspace.settings
    path = settings.home / REGISTRY_NAME
    done = restore(path, backup, alias=settings.alias, who=operator(), force=force, dry_run=dry_run)
    if dry_run:
        return done
    versions = workspace.registry.versions()
    missing = [
        item.artifact for item in versions
        if item.artifact is not None and not (settings.home / item.artifact).exists()
    ]  # fmt: skip
    return replace(done, missing=tuple(missing))
