"""Moments as people write them, and what was live at one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from reindex.registry.ledger import Promotion
    from reindex.stages.recalling import LiveAt


class Moment(click.ParamType["datetime"]):
    """``2026-11-01 12:00``, ``2026-11-01``, ``2026-11-01T12:00+01:00``; UTC without an offset."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """A time with an offset."""
        if isinstance(value, datetime):
            return value
        try:
            read = datetime.fromisoformat(str(value).strip())
        except ValueError:
            self.fail(f"{value!r} is no time. Expected '2026-11-01 12:00' (UTC).", param, ctx)
        return read.replace(tzinfo=read.tzinfo or UTC)


def show_live_at(found: LiveAt) -> None:
    """One line or two: what it was, since and until when, and who made it so."""
    at = f"{found.at[:16].replace('T', ' ')} UTC"
    what = f"{found.version} ({found.collection})" if found.version else found.collection
    click.echo(f"{at}: alias {found.alias!r} -> {what or 'nothing'}")
    if found.since is not None:
        click.echo(f"  since {_flip(found.since)}")
    if found.until is not None:
        click.echo(f"  until {_flip(found.until)}")


def _flip(item: Promotion) -> str:
    finished = (item.finished_at or "")[:16].replace("T", " ")
    said = f": {item.reason}" if item.reason else ""
    return f"{finished} UTC, {item.kind} {item.id} by {item.who}{said}"
