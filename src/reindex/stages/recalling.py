"""What was live when, and why: read off the history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from reindex.registry.approvals import Approvals
from reindex.registry.ledger import Promotion
from reindex.workspace import Workspace


@dataclass(frozen=True, slots=True)
class LiveAt:
    """What the alias pointed at, by the history; None where it pointed at nothing yet.

    ``since`` is the flip that made it so, ``until`` the one that ended it (None: not yet).
    """

    at: str
    alias: str
    version: str | None
    collection: str | None
    since: Promotion | None
    until: Promotion | None


def live_at(workspace: Workspace, when: datetime) -> LiveAt:
    """What was live at a time (without an offset: UTC).

    Flips that somebody made outside the registry are not in its history.
    """
    moment = when.replace(tzinfo=when.tzinfo or UTC).astimezone(UTC)
    at, alias = moment.isoformat(timespec="microseconds"), workspace.settings.alias
    done = [item for item in workspace.registry.promotions(state="done") if item.alias == alias]
    before = [item for item in done if (item.finished_at or "") <= at]
    after = [item for item in done if (item.finished_at or "") > at]
    since, until = next(iter(before), None), after[-1] if after else None
    if since is None:
        return LiveAt(at, alias, None, until.from_collection if until else None, None, until)
    return LiveAt(at, alias, since.version, since.to_collection, since, until)


def why(workspace: Workspace, item: Promotion) -> str:
    """In one line why a flip was made: the reason given, the gate's verdict, who approved."""
    parts = [item.reason] if item.reason else []
    if item.kind == "promote" and item.conditions:
        failed = [one["name"] for one in item.conditions if one["verdict"] != "pass"]
        passed = "gate passed" if not failed else f"gate: not {', '.join(failed)}"
        parts.append(
            passed if item.comparison is None else f"{passed} (comparison {item.comparison})"
        )
    approvals = Approvals(workspace.registry).all()
    names = [
        one.approved_by
        for one in approvals
        if (one.collection, one.comparison) == (item.to_collection, item.comparison)
        and one.approved_at <= (item.finished_at or "")
    ]
    if item.kind == "promote" and names:
        parts.append(f"approved by {', '.join(dict.fromkeys(names))}")
    return "; ".join(parts)
