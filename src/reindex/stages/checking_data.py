"""What training data is like, before anything is trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reindex.config.training_data import DataSettings
from reindex.corpus.training_sets import texts_of
from reindex.errors import ConfigError
from reindex.stages.training_data import configured_data, read_table
from reindex.workspace import Workspace


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """One file of training data: its kind, how many rows are good and bad, different texts."""

    path: str
    kind: str
    rows: int
    bad_rows: int
    texts: int


def check_data(workspace: Workspace, paths: Sequence[Path] = ()) -> list[CheckedFile]:
    """Read the files, or else those of [train], and say what they hold."""
    configured = configured_data(workspace.settings.train)
    files = [Path(path) for path in paths] or [
        workspace.settings.resolve(table.path) for table in configured
    ]
    if not files:
        raise ConfigError(
            "There is nothing to check. Name files, or set train.pairs or [[train.data]] in "
            "reindex.toml."
        )
    return [_check(workspace, file) for file in files]


def _check(workspace: Workspace, file: Path) -> CheckedFile:
    with workspace.dead_letters("data-check") as dead:
        found = read_table(workspace, DataSettings(path=file), dead).data
    texts = {text for row in found.rows for text in texts_of(row)}
    return CheckedFile(str(file), found.kind, len(found.rows), dead.count, len(texts))
