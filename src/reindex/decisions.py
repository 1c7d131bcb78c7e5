"""The part of a project's front door that compares, and asks what was found and decided."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from reindex.registry.ledger import Promotion, StoredComparison
from reindex.registry.trials import Studies, Study, Trial
from reindex.workspace import Workspace

if TYPE_CHECKING:
    from reindex.evaluation.compare import Comparison
    from reindex.evaluation.figure import Figure
    from reindex.evaluation.results_models import ModelsReport
    from reindex.evaluation.unjudged import UnjudgedComparison
    from reindex.off_the_shelf import ModelSpec
    from reindex.records import Query
    from reindex.registry.approvals import Approval
    from reindex.registry.result_book import StoredUnjudged
    from reindex.stages.recalling import LiveAt


class Decisions(Workspace):
    """Comparisons, figures, approvals and the history: see `reindex.project.Project`."""

    def compare(
        self, version: str, *, against: str | None = None
    ) -> tuple[StoredComparison, Comparison]:
        """Compare a version with what is live, on the judged queries."""
        from reindex.stages.comparing import compare_with_live

        return compare_with_live(self, version, against=against)

    def compare_several(
        self, versions: Sequence[str], *, against: str | None = None
    ) -> tuple[tuple[StoredComparison, Comparison], ...]:
        """Compare several versions with what is live; their verdicts hold together."""
        from reindex.stages.comparing import compare_several

        return compare_several(self, versions, against=against)

    def compare_with_models(
        self,
        versions: Sequence[str],
        models: Sequence[ModelSpec],
        *,
        against: str | None = None,
    ) -> tuple[tuple[tuple[StoredComparison, Comparison], ...], ModelsReport]:
        """Compare versions (or none) with what is live, and beside them models that are none.

        The models are judged on a subset, without a build, together with the versions.
        """
        from reindex.stages.comparing import compare_with_models

        return compare_with_models(self, versions, models, against=against)

    def compare_unjudged(
        self, version: str, queries: Sequence[Query], *, against: str | None = None
    ) -> tuple[StoredUnjudged, UnjudgedComparison]:
        """How far a version and what is live agree on queries without judgements; no verdict."""
        from reindex.stages.comparing import compare_without_judgements

        return compare_without_judgements(self, version, queries, against=against)

    def figures(self, version: str) -> list[Figure]:
        """Every number that the gate may ask of a version, by name."""
        from reindex.stages.promoting import figures

        return figures(self, version)

    def unasked_conditions(self, version: str) -> list[str]:
        """Conditions of the gate that are about no figure of a version, each with the nearest."""
        from reindex.stages.promoting import unasked_conditions

        return unasked_conditions(self, version)

    def approve(self, version: str, *, by: str, note: str = "") -> Approval:
        """Approve a version's build upon its last comparison: see `gate.require_approval`."""
        from reindex.stages.promoting import approve

        return approve(self, version, by=by, note=note)

    def revoke(self, version: str, *, by: str) -> list[Approval]:
        """Take back the approvals of a version that count until now."""
        from reindex.stages.promoting import revoke

        return revoke(self, version, by=by)

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
