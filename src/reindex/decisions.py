"""The part of a project's front door that asks what was found and decided."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from reindex.registry.ledger import Promotion
from reindex.registry.trials import Studies, Study, Trial
from reindex.workspace import Workspace

if TYPE_CHECKING:
    from reindex.evaluation.figure import Figure
    from reindex.registry.approvals import Approval
    from reindex.stages.recalling import LiveAt


class Decisions(Workspace):
    """Figures, approvals and the history of a project: see `reindex.project.Project`."""

    def figures(self, version: str) -> list[Figure]:
        """Every number that the gate may ask of a version, by name."""
        from reindex.stages.promoting import figures

        return figures(self, version)

    def approve(self, version: str, *, by: str, note: str = "") -> Approval:
        """Approve a version's build upon its last comparison: see `gate.require_approval`."""
        from reindex.stages.promoting import approve

        return approve(self, version, by=by, note=note)

    def history(self) -> list[Promotion]:
        """Every flip, newest first."""
        from reindex.stages.upkeep import history

        return history(self)

    def live_at(self, when: datetime) -> LiveAt:
        """What was live at a time, by the history; a time without an offset is UTC."""
        from reindex.stages.recalling import live_at

        return live_at(self, when)

    def trials(self) -> list[tuple[Study, list[Trial]]]:
        """Every search over recipes with its trials, oldest first."""
        studies = Studies(self.registry)
        return [(study, studies.trials(study.id)) for study in studies.all()]
