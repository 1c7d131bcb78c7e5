"""Replacing the rows of a registry by those of another one, in one transaction."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from reindex.errors import Conflict
from reindex.registry.backups import Backup, back_up
from reindex.registry.control import Control
from reindex.registry.file import now
from reindex.registry.jobs import JobBook
from reindex.registry.owners import OwnerBook
from reindex.registry.registry import Registry

REV_GAP = 10**9
"""Where the registry that gave out revs is lost, they go on so far behind the backup's: more than
were given out since. (They are integers up to 2**63 in SQLite, 2**53 in JSON.)"""

OF_THE_MOMENT = ("owner", "heartbeats", "locks", "orders", "sessions")
"""Who works on what at the moment, and who is logged in: nobody, in a backup."""
_NOT_COPIED = {"_sqlite_migrations", "sequence", "restores"}
"""What goes on from where it is, instead of going back."""
_NOT_COMPARED = {*OF_THE_MOMENT, "write_keys", "told_flips"}
_COLUMNS_NOT_COMPARED = {"shards": {"owner_pid", "owner_since"}}


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did, or would do (``dry_run``).

    ``lost`` are the rows per table that were here and are not in the backup, or otherwise;
    ``alias`` is (now, before) where another collection is live by it (embedded stores).
    ``kept`` is where what was here before lies now; None: there was nothing.
    """

    backup: Backup
    lost: Mapping[str, int] = field(default_factory=dict)
    alias: tuple[str | None, str | None] | None = None
    kept: Path | None = None
    dry_run: bool = False
    missing: tuple[str, ...] = ()
    """Artifacts that its versions name and that are not here."""


def replace_rows(
    present: Registry, prepared: Path, result: Restored, *, alias: str, who: str, force: bool
) -> Restored:
    """Replace its rows in one transaction, in which nobody else writes."""
    present.execute("ATTACH ? AS backup", [str(prepared)])
    with present.transaction():
        _nobody_works(present)
        _carry_over(present)
        lost, moved = _lost(present), _moved(present, alias)
        result = replace(result, lost=lost, alias=moved)
        if result.dry_run:
            return result
        if not (lost or moved):
            _copy_rows(present)
            record(present, result, who)
            return result
        if not force:
            raise Conflict(_refusal(result))
        result = replace(result, kept=beside(present.path, "before-restore"))
        assert result.kept is not None
        with contextlib.closing(Registry(present.path)) as other:  # sees what was committed
            back_up(other, result.kept)
        _copy_rows(present)
        record(present, result, who)
    return result


def _nobody_works(present: Registry) -> None:
    owner = OwnerBook(present).other()
    if owner is not None:
        raise Conflict(
            f"This project has an owner, {owner}, which works with the registry as it is. "
            f"End it first: kill {owner.pid}"
        )
    if running := Control(present).running():
        told = ", ".join(f"{run.task} (process {run.pid} on {run.host})" for run in running)
        raise Conflict(f"Something runs: {told}. End it first: reindex cancel")
    if jobs := JobBook(present).open():
        told = ", ".join(f"{job.kind} {job.version} (job {job.id}, {job.who})" for job in jobs)
        raise Conflict(f"Jobs of the server wait: {told}. Cancel them, or end the server first.")


def _carry_over(present: Registry) -> None:
    """What must not go back: a revoked key opens nothing, a flip that was told is told once."""
    present.execute(
        "UPDATE backup.api_keys AS old SET revoked_at = new.revoked_at FROM main.api_keys AS new "
        "WHERE old.sha256 = new.sha256 AND new.revoked_at IS NOT NULL AND old.revoked_at IS NULL"
    )
    present.execute(
        "INSERT OR REPLACE INTO backup.told_flips SELECT * FROM main.told_flips "
        "WHERE promotion IN (SELECT id FROM backup.promotions)"
    )


def _tables(present: Registry) -> list[str]:
    found = present.execute(
        "SELECT name FROM backup.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    return sorted({row[0] for row in found} - _NOT_COPIED)


def _columns(present: Registry, table: str) -> list[str]:
    rows = present.execute("SELECT name FROM pragma_table_info(?, 'main')", [table])
    return [row[0] for row in rows]


def _lost(present: Registry) -> dict[str, int]:
    """Rows that are here, and in the backup not, or otherwise."""
    found = {}
    for table in set(_tables(present)) - _NOT_COMPARED:
        left_out = _COLUMNS_NOT_COMPARED.get(table, set())
        names = ", ".join(name for name in _columns(present, table) if name not in left_out)
        sql = (
            f"SELECT count(*) FROM (SELECT {names} FROM main.{table} "  # noqa: S608 (own names)
            f"EXCEPT SELECT {names} FROM backup.{table})"
        )
        if count := present.execute(sql).fetchone()[0]:
            found[table] = int(count)
    return dict(sorted(found.items()))


def _moved(present: Registry, alias: str) -> tuple[str | None, str | None] | None:
    before, then = (
        present.execute(
            f"SELECT max(collection) FROM {schema}.aliases WHERE alias = ?",  # noqa: S608
            [alias],
        ).fetchone()[0]
        for schema in ("main", "backup")
    )
    return None if before == then else (then, before)


def _refusal(result: Restored) -> str:
    rows = ", ".join(f"{table} ({count})" for table, count in result.lost.items())
    flip = ""
    if result.alias is not None:
        then, before = result.alias
        flip = f" {then or 'Nothing'} would be live instead of {before or 'nothing'}, unjudged."
    return (
        f"What is here differs from {result.backup.when}: these rows would be lost or go back: "
        f"{rows or 'none'}.{flip} Nothing was changed. With --force it is done all the same, and "
        "a copy of what is here is kept beside it."
    )


def _copy_rows(present: Registry) -> None:
    present.execute("PRAGMA defer_foreign_keys = ON")  # until the end of this transaction
    tables = _tables(present)
    for table in tables:
        present.execute(f"DELETE FROM main.{table}")  # noqa: S608 (own names)
    for table in tables:
        names = ", ".join(_columns(present, table))
        sql = f"INSERT INTO main.{table} ({names}) SELECT {names} FROM backup.{table}"  # noqa: S608
        present.execute(sql)
    present.execute(
        "INSERT INTO main.restores (at, who, file, taken_at, lost, kept) "
        "SELECT at, who, file, taken_at, lost, kept FROM backup.restores "
        "WHERE at NOT IN (SELECT at FROM main.restores) ORDER BY id"
    )
    _go_on_counting(present)


def _go_on_counting(present: Registry) -> None:
    """No number is given out twice: neither a rev nor that of a run or a promotion."""
    then = present.execute("SELECT rev FROM backup.sequence").fetchone()[0]
    present.execute(
        "UPDATE main.sequence SET rev = CASE WHEN rev >= ? THEN rev ELSE ? END",
        (then, then + REV_GAP),
    )
    for name, number in present.execute("SELECT name, seq FROM backup.sqlite_sequence").fetchall():
        present.execute(
            "DELETE FROM main.sqlite_sequence WHERE name = ? AND seq < ?", (name, number)
        )
        present.execute(
            "INSERT INTO main.sqlite_sequence (name, seq) SELECT ?, ? "
            "WHERE NOT EXISTS (SELECT 1 FROM main.sqlite_sequence WHERE name = ?)",
            (name, number, name),
        )


def record(registry: Registry, result: Restored, who: str) -> None:
    """Write down that the registry was restored."""
    registry.execute(
        "INSERT INTO main.restores (at, who, file, taken_at, lost, kept) VALUES (?, ?, ?, ?, ?, ?)",
        (now(), who, result.backup.path.name, result.backup.taken_at, json.dumps(result.lost),
         result.kept.name if result.kept else None),
    )  # fmt: skip


def beside(path: Path, what: str) -> Path:
    """A new name for what is to be kept: ``registry.db.before-restore-<time>``."""
    return path.with_name(f"{path.name}.{what}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
