"""Training data in parts that share nothing, as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reindex.config.training_data import DataSettings
from reindex.datasets.splitting import fold_rows, split_rows
from reindex.datasets.writing import as_beir, as_files, write_files
from reindex.errors import DataError
from reindex.stages.training_data import read_sets, read_table
from reindex.workspace import Workspace

NAMES = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to cut: shares of train, dev and test, or so many folds; where to, in which form."""

    shares: tuple[float, ...] = (0.8, 0.1, 0.1)
    folds: int | None = None
    seed: int = 13
    beir: bool = False
    output: Path = Path("splits")
    force: bool = False


@dataclass(frozen=True, slots=True)
class WrittenSplit:
    """The files, the rows in each part, and how many groups they were cut from.

    ``weights_lost``: the rows have weights, for which a BEIR folder has no place.
    """

    files: tuple[Path, ...]
    rows: dict[str, int]
    groups: int
    largest_group: int
    lopsided: bool
    bad_rows: int
    weights_lost: bool = False


def split_data(
    workspace: Workspace,
    path: Path | None,
    wanted: Wanted,
    *,
    how: Mapping[str, Any] | None = None,
) -> WrittenSplit:
    """Cut a file, or what [train] or the source holds, and write the parts.

    ``how`` are keys of `DataSettings` (kind, columns) that say what the file holds.

    Raises:
        DataError: the file cannot be used, has fewer groups than parts, or a file is there.
    """
    table = None if path is None else DataSettings(path=path.resolve(), **(how or {}))
    with workspace.dead_letters("data-split") as dead:
        if table is not None:
            data = read_table(workspace, table, dead).data
        else:
            sets = read_sets(workspace, workspace.settings.train)
            if len(sets) > 1:
                several = ", ".join(item.name for item in sets)
                raise DataError(f"Several files are configured ({several}). Name the one to split.")
            data = sets[0]
    rows = list(data.rows)
    if wanted.folds is not None:
        split = fold_rows(rows, wanted.folds, seed=wanted.seed)
        names = [f"fold-{number + 1}" for number in range(wanted.folds)]
    else:
        split = split_rows(rows, wanted.shares, seed=wanted.seed)
        names = list(NAMES if len(wanted.shares) == len(NAMES) else (NAMES[0], NAMES[-1]))
    parts = {name: data.only(places) for name, places in zip(names, split.parts, strict=True)}
    files = as_beir({name: part.rows for name, part in parts.items()}) if wanted.beir \
        else as_files(parts)  # fmt: skip
    written = write_files(wanted.output, files, force=wanted.force)
    return WrittenSplit(
        tuple(written), {name: len(part.rows) for name, part in parts.items()},
        split.groups, split.largest, split.lopsided, dead.count,
        weights_lost=wanted.beir and bool(data.weights),
    )  # fmt: skip
