"""Bringing a registry back from a backup.

Where a readable registry is, its rows are replaced in one transaction: processes that have it open
see the one or the other, also where this is killed. (Another file under the same name would have
left them with the old file, and SQLite with a log that belongs to neither.) Where there is none, or
a damaged one, a finished file takes its name, and what was damaged is kept.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from reindex.diskspace import disk_full, is_disk_full, sync_to_disk
from reindex.errors import RegistryError, RegistryTooNew
from reindex.registry.backups import examine, reading
from reindex.registry.file import now
from reindex.registry.registry import Registry
from reindex.registry.replacing import (
    OF_THE_MOMENT,
    REV_GAP,
    Restored,
    beside,
    record,
    replace_rows,
)

_PREFIX = ".restoring-"
_STALE_S = 3600.0
_DAMAGED = {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CORRUPT_INDEX", "SQLITE_CORRUPT_VTAB"}


def restore(
    path: Path, backup: Path, *, alias: str, who: str, force: bool = False, dry_run: bool = False
) -> Restored:
    """Make the registry at ``path`` what it was when ``backup`` was taken.

    Not brought back: who owned the store and what ran, which has ended; canaries that ran, which
    are ended too; API keys that were revoked since, which stay so.

    Raises:
        RegistryError: the backup is missing, damaged or no registry.
        RegistryTooNew: it, or what is here, was written by a newer release.
        Conflict: the project has an owner, or something runs; or something would be lost and
            ``force`` is False.
    """
    found = examine(backup)
    with _scratch(path.parent) as folder:
        prepared = _prepare(folder / path.name, backup)
        result = Restored(found, dry_run=dry_run)
        present = _open(path)
        if present is None:
            return _put(path, prepared, result, who)
        with contextlib.closing(present):
            return replace_rows(present, prepared, result, alias=alias, who=who, force=force)


@contextlib.contextmanager
def _scratch(home: Path) -> Iterator[Path]:
    home.mkdir(parents=True, exist_ok=True)
    for old in home.glob(f"{_PREFIX}*"):  # of a restore that was killed
        if time.time() - old.stat().st_mtime > _STALE_S:
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=home))
    try:
        yield folder
    except sqlite3.Error as error:
        if is_disk_full(error):
            raise disk_full("The registry", home, error) from error
        raise RegistryError(f"The backup cannot be restored into {home}: {error}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(file: Path, backup: Path) -> Path:
    """A copy of the backup in this release's schema, in which nothing runs."""
    with reading(backup) as source, contextlib.closing(sqlite3.connect(file)) as target:
        source.backup(target)
    try:
        registry = Registry(file)
    except RegistryTooNew as error:
        raise RegistryTooNew(str(error).replace(str(file), str(backup))) from None
    with contextlib.closing(registry), registry.transaction():
        registry.execute("DROP TABLE IF EXISTS _backup")
        for table in OF_THE_MOMENT:
            registry.execute(f"DELETE FROM {table}")  # noqa: S608 (own names)
        registry.execute(
            "UPDATE runs SET state = 'interrupted', finished_at = ?, details = ? "
            "WHERE state = 'running'",
            (now(), json.dumps({"error": "it ran while the backup was taken"})),
        )
        registry.execute(
            "UPDATE jobs SET state = 'interrupted', ended_at = ?, outcome = ? "
            "WHERE state IN ('waiting', 'running')",
            (
                now(),
                json.dumps(
                    {"error": {"code": "OwnerGone", "message": "the registry was restored"}}
                ),
            ),
        )
        registry.execute(
            "UPDATE canaries SET ended_by = 'restore', ended_at = ?, "
            "why = 'the registry was restored' WHERE ended_at IS NULL",
            [now()],
        )
    return file


def _open(path: Path) -> Registry | None:
    """The registry that is here; None where there is none, or one that cannot be read."""
    if not path.exists():
        return None
    try:
        registry = Registry(path)
        said = registry.execute("PRAGMA quick_check").fetchone()[0]
    except RegistryTooNew:
        raise
    except (RegistryError, sqlite3.DatabaseError) as error:
        cause = error if isinstance(error, sqlite3.DatabaseError) else error.__cause__
        if getattr(cause, "sqlite_errorname", "") not in _DAMAGED:
            raise
        return None
    if said == "ok":
        return registry
    registry.close()
    return None


# -- nothing readable is here


def _put(path: Path, prepared: Path, result: Restored, who: str) -> Restored:
    """Give the finished file the registry's name; what has it is kept under another."""
    if result.dry_run:
        return result
    kept = beside(path, "damaged") if path.exists() else None
    result = replace(result, kept=kept)
    with contextlib.closing(Registry(prepared)) as registry, registry.transaction():
        registry.next_rev(REV_GAP)
        record(registry, result, who)
    with contextlib.closing(sqlite3.connect(prepared)) as conn:
        conn.execute("PRAGMA journal_mode=DELETE")  # all of it in one file
    sync_to_disk(prepared)
    for ending in ("-wal", "-shm"):  # before all else: SQLite would take them for the new file's
        log = path.with_name(path.name + ending)
        if log.exists():
            aside = kept or beside(path, "left-over")
            log.replace(aside.with_name(aside.name + ending))
    if kept is not None:
        path.replace(kept)
    prepared.replace(path)
    sync_to_disk(path.parent)
    return result
