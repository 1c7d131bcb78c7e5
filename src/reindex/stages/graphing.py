"""The search graph of a large collection, where the store builds none by itself."""

from __future__ import annotations

import logging
from typing import Any

from reindex.build import BuildReport
from reindex.errors import StoreError
from reindex.protocols import GraphStore
from reindex.registry.ledger import BuiltCollection
from reindex.stages.supervision import Job
from reindex.workspace import Workspace

logger = logging.getLogger(__name__)


def build_graph(
    workspace: Workspace, built: BuiltCollection, report: BuildReport, job: Job
) -> dict[str, Any]:
    """Build the graph of a collection that is not live, before it counts as complete.

    Nothing is done where the last build ended well and this one wrote nothing. A graph that cannot
    be built fails nothing: the collection works as before, only slower.

    Returns:
        For the run's record: ``{"graph": "built"}``, what went wrong, or nothing.
    """
    store = workspace.store
    changed = report.inserted + report.updated > 0 or not built.complete
    if not isinstance(store, GraphStore) or not changed or not report.complete:
        return {}
    if workspace.live_collection() == built.name:  # searches would fail meanwhile
        return {}
    job.progress("graph", 0, None)
    try:
        done = store.optimize(built.name, at_least=workspace.settings.build.graph_from)
    except StoreError as error:
        logger.warning("%s", error)
        return {"graph": f"failed: {error}"}
    return {"graph": "built"} if done else {}
