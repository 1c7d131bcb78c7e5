"""The stages in one go: train, export, build, compare and, if asked, promote."""

from __future__ import annotations

from dataclasses import dataclass

from reindex.build import BuildReport
from reindex.config import TrainSettings
from reindex.errors import ModelError, PromotionRefused
from reindex.evaluation.compare import Comparison
from reindex.gate import GateDecision
from reindex.registry.ledger import Promotion, StoredComparison, Version
from reindex.stages.building import build
from reindex.stages.comparing import compare_with_live
from reindex.stages.exporting import export
from reindex.stages.promoting import promote as promote_version
from reindex.stages.training import Trained, train
from reindex.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Outcome:
    """What each stage gave; None where a stage had nothing to do."""

    trained: Trained
    exported: Version
    build: BuildReport
    stored: StoredComparison | None
    comparison: Comparison | None
    decision: GateDecision | None
    promotion: Promotion | None

    @property
    def verdict(self) -> str:
        """The gate's verdict where it was asked, else the comparison's, else pass."""
        if self.decision is not None:
            return self.decision.verdict
        return self.comparison.verdict if self.comparison is not None else "pass"


def run_loop(
    workspace: Workspace, settings: TrainSettings, *, promote: bool, allow_deletes: bool
) -> Outcome:
    """Run all stages. Finished ones are not done again, so an interrupted run goes on.

    Raises:
        ModelError: a launcher started several processes: that is for training alone.
    """
    from reindex.training.ranks import processes

    if processes() > 1:
        raise ModelError(
            f"expected one process, got {processes()} from a launcher, which only training can "
            "use. Launch `reindex train`, then run the other stages without the launcher."
        )
    trained = train(workspace, settings)
    name = trained.version.name
    exported = export(workspace, name)
    report = build(workspace, name, allow_deletes=allow_deletes, early_stop=None)
    live = workspace.live_collection()
    if live == workspace.settings.collection(name):
        raise PromotionRefused(f"{name}, which this recipe makes, is live already.")
    stored, comparison = compare_with_live(workspace, name) if live else (None, None)
    decision = promotion = None
    if promote:
        decision = promote_version(workspace, name, dry_run=True).decision
        if decision.verdict == "pass":
            promotion = promote_version(workspace, name).promotion
    return Outcome(trained, exported, report, stored, comparison, decision, promotion)
