"""Several exported versions become one more: an ensemble of their vectors."""

from __future__ import annotations

from collections.abc import Sequence

from reindex.errors import ArtifactError
from reindex.export.ensemble import Part, join_artifacts
from reindex.registry.ledger import Version
from reindex.stages.exporting import dev_data, record_export
from reindex.stages.supervision import supervised
from reindex.workspace import Workspace


def ensemble(
    workspace: Workspace, names: Sequence[str], weights: Sequence[float] | None = None
) -> Version:
    """Register a version whose vector is its members' vectors side by side, weighted.

    One of the same members and weights that is there already is returned as it is. ``weights``
    None: all the same.

    Raises:
        UnknownVersion: there is no such version.
        ArtifactError: a member is not exported, or cannot take part; weights that do not fit.
    """
    weights = list(weights or [1.0] * len(names))
    if len(weights) != len(names):
        raise ArtifactError(
            f"Expected a weight for each of {len(names)} versions, found {len(weights)}."
        )
    parts = [_part(workspace, *each) for each in zip(names, weights, strict=True)]
    recipe = {"members": list(names), "weights": weights}
    for version in workspace.registry.versions():
        if version.kind == "ensemble" and version.recipe == recipe and version.artifact:
            return version
    with supervised(workspace, "ensemble", None) as job:
        draft = workspace.artifact_folder(f"joining-{job.id}")
        dev, documents = dev_data(workspace)
        report = join_artifacts(
            parts, draft, settings=workspace.settings.export, dev=dev, documents=documents
        )
        with workspace.registry.transaction():  # no version before its artifact is there
            base = " + ".join(names)
            name = workspace.registry.add_version(base=base, kind="ensemble", recipe=recipe).name
            job.details.update(report, version=name)
            target = workspace.artifact_folder(name)
            draft.replace(target)
            return record_export(workspace, name, target, report)


def _part(workspace: Workspace, name: str, weight: float) -> Part:
    version = workspace.registry.version(name)
    if version.artifact is None:
        raise ArtifactError(f"{name} is not exported yet. Run: reindex export {name}")
    return Part(name, workspace.settings.home / version.artifact, weight)
