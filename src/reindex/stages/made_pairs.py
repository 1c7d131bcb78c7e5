"""How the files were made that a version is trained on, as `reindex data synthesize` told."""

from __future__ import annotations

from typing import Any

from reindex.corpus.origins import origin_of
from reindex.stages.training_data import TrainingData
from reindex.workspace import Workspace


def origins(workspace: Workspace, given: TrainingData) -> dict[str, Any]:
    """For the lineage: the origin of each file that has one and was not edited, by its name."""
    paths = [workspace.settings.resolve(table.path) for table in given.tables]
    told = {path.name: origin for path in paths if (origin := origin_of(path)) is not None}
    return {"pairs_made": told} if told else {}
