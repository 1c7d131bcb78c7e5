"""Where a base model of the configuration lies: versions and folders as the project sees them."""

from __future__ import annotations

from pathlib import Path

from reindex.errors import ModelError, UnknownVersion
from reindex.workspace import Workspace


def base_spec(workspace: Workspace, base: str) -> str:
    """A version's checkpoint, a folder as seen from the config file, or ``base`` as it is."""
    try:
        version = workspace.registry.version(base)
    except UnknownVersion:
        local = workspace.settings.resolve(Path(base))
        return str(local) if local.is_dir() else base
    if version.checkpoint is None:
        raise ModelError(f"{base} has no checkpoint yet: its training did not finish.")
    return str(workspace.settings.home / version.checkpoint)
