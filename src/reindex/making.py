"""The part of a project's front door that makes versions, and lets them travel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reindex.config import TrainSettings
from reindex.decisions import Decisions
from reindex.registry.ledger import Version

if TYPE_CHECKING:
    from reindex.stages.training import Trained
    from reindex.stages.transporting import Load, Pulled
    from reindex.stages.trials import Searched
    from reindex.transport import Pushed, Wish


class Making(Decisions):
    """Training, export, ensembles, push and pull: see `reindex.project.Project`."""

    def train(
        self,
        settings: TrainSettings | None = None,
        *,
        corpus: Path | None = None,
        again: bool = False,
    ) -> Trained:
        """Fine-tune a new version on pairs. Resumes a training that was interrupted.

        ``corpus``: a BEIR folder to take pairs and dev queries from, instead of the source.
        """
        from reindex.stages.training import train

        return train(self, settings, corpus=corpus, again=again)

    def search_recipes(self, trials: int, settings: TrainSettings | None = None) -> Searched:
        """Try recipes on dev, within ``[trials]``, until there are so many; the best becomes a
        version. Goes on with a search that was interrupted.
        """
        from reindex.stages.trials import search_recipes

        return search_recipes(self, trials, settings)

    def export(self, version: str) -> Version:
        """Export a version to its int8 artifact; checked against the checkpoint."""
        from reindex.stages.exporting import export

        return export(self, version)

    def push(self, version: str, address: str, load: Load | None = None) -> Pushed:
        """Push a version's artifact to a folder, object storage or the Hugging Face Hub."""
        from reindex.stages.transporting import push

        return push(self, version, address, load)

    def pull(self, address: str, *, name: str | None = None, wish: Wish | None = None) -> Pulled:
        """Fetch an artifact that was pushed, verify it, and register it as a version."""
        from reindex.stages.transporting import pull

        return pull(self, address, name=name, wish=wish)

    def ensemble(self, versions: Sequence[str], weights: Sequence[float] | None = None) -> Version:
        """Make a version whose vector is those of several side by side, weighted."""
        from reindex.stages.ensembling import ensemble as make

        return make(self, versions, weights)
