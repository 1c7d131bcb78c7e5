"""Stage 2: a version's checkpoint becomes its ONNX artifact."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from reindex.artifact import load_manifest
from reindex.errors import ModelError
from reindex.protocols import Progress
from reindex.records import Document, Judgements
from reindex.registry.ledger import Version
from reindex.stages.reading import documents_of
from reindex.stages.supervision import supervised, version_lock
from reindex.workspace import Workspace

DEV_QUERIES, DEV_DOCUMENTS = 150, 600
"""Enough for the ranking check and the choice of the first stage; seconds on two cores."""


def export(workspace: Workspace, name: str) -> Version:
    """Export a version; its ``report`` holds the parity and invariance figures.

    An exported version is checked and returned as it is. Where parity fails, ParityError is
    raised and nothing is published.
    """
    version = workspace.registry.version(name)
    if version.artifact is not None:
        load_manifest(workspace.settings.home / version.artifact)
        return version
    if version.checkpoint is None:
        raise ModelError(f"{name} has no checkpoint yet. Run `reindex train` again to finish it.")
    target = workspace.artifact_folder(name)
    shutil.rmtree(target, ignore_errors=True)  # of an export that died before it was recorded
    with supervised(workspace, "export", name, locks=[version_lock(name)]) as job:
        report = _publish(workspace, version, target, job.progress)
        job.details.update(report)
    return record_export(workspace, name, target, report)


def record_export(workspace: Workspace, name: str, target: Path, report: dict[str, Any]) -> Version:
    """Write down that a version's artifact lies in ``target``, and what vectors it makes."""
    manifest = load_manifest(target)
    return workspace.registry.update_version(
        name,
        state="exported",
        artifact=str(target.relative_to(workspace.settings.home)),
        space=manifest.space,
        encoding=manifest.encoding("int8"),
        dim=manifest.dim,
        report=report,
    )


def _publish(
    workspace: Workspace, version: Version, target: Path, progress: Progress
) -> dict[str, Any]:
    from reindex.export import export_checkpoint

    dev, documents = dev_data(workspace)
    recipe = version.recipe
    report = export_checkpoint(
        workspace.settings.home / str(version.checkpoint),
        target,
        base=version.base,
        matryoshka_dims=recipe.get("lineage", {}).get("matryoshka_dims"),
        query_prompt=recipe.get("query_prompt", ""),
        document_prompt=recipe.get("document_prompt", ""),
        max_length=recipe.get("max_length"),
        settings=workspace.settings.export,
        dev=dev,
        documents=documents,
        progress=progress,
    )
    return report.as_dict()


def dev_data(workspace: Workspace) -> tuple[Judgements | None, list[Document]]:
    """Some dev queries, with their relevant documents and distractors."""
    from reindex.training.devset import make_dev_set

    judgements = workspace.judgements("dev")
    if judgements is None:
        return None, []
    with documents_of(workspace) as source:
        sample = make_dev_set(
            judgements,
            source,
            max_queries=DEV_QUERIES,
            max_documents=DEV_DOCUMENTS,
            seed=workspace.settings.evaluation.seed,
        )
    kept = tuple(query for query in judgements.queries if query.id in sample.queries)
    documents = [Document(key, text, {}) for key, text in sample.corpus.items()]
    return Judgements(kept, judgements.qrels), documents
