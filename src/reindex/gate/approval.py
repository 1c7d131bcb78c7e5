"""The gate's look at approvals: one of exactly this build, upon exactly this comparison."""

from __future__ import annotations

from collections.abc import Iterator

from reindex.config import GateSettings
from reindex.gate.decision import Condition
from reindex.registry import Registry
from reindex.registry.approvals import Approvals
from reindex.registry.ledger import BuiltCollection


def approval_condition(
    registry: Registry, gate: GateSettings, built: BuiltCollection, comparison: int | None
) -> Iterator[Condition]:
    """Whether somebody said yes, where that is asked for."""
    if not gate.require_approval:
        return
    wanted = f"`reindex approve {built.version} --by NAME`"
    approvals = Approvals(registry)
    found = approvals.of(built, comparison)
    if found is not None:
        note = f": {found.note}" if found.note else ""
        at = found.approved_at[:16].replace("T", " ")
        yield Condition("approval", "pass", f"{found.approved_by}, {at} UTC{note}", wanted)
        return
    earlier = [item for item in approvals.all() if item.collection == built.name]
    figure = "nobody approved it"
    if earlier:
        figure = f"{earlier[0].approved_by} approved another build of it, or another comparison"
        if earlier[0].revoked_at is not None:
            figure = f"{earlier[0].revoked_by} took the approval back"
    yield Condition("approval", "fail", figure, wanted)
