"""Export: a checkpoint becomes an artifact, or an error that says what does not agree.

Everything is made in a folder beside the target and renamed into place at the end, so a target
that exists is complete and was found equal to its checkpoint within the tolerances.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from reindex.artifact import (
    GRAPH_FILES,
    TOKENIZER_NAME,
    ImageTower,
    Manifest,
    Probes,
    compute_space,
    default_matryoshka_dims,
    first_stage_guess,
    load_manifest,
    save_manifest,
    tokenizer_hash,
    verify_files,
)
from reindex.encoder import OnnxEncoder
from reindex.encoder.runtime import cpu_name, runtime_version
from reindex.errors import ArtifactError
from reindex.export.checks import (
    FP32_TEXTS,
    PROBE_TEXTS,
    DimensionRecall,
    choose_prefix_dim,
    invariance_figures,
    make_sample,
    parity_figures,
    raise_out_of_tolerance,
)
from reindex.export.graphs import (
    hash_configs,
    head_folders,
    write_configs,
    write_graphs,
    write_image_graphs,
)
from reindex.export.images import judge_images, read_processor
from reindex.export.model import Checkpoint, load_checkpoint
from reindex.protocols import Progress, no_progress
from reindex.records import Document, Judgements, image_path

if TYPE_CHECKING:
    from reindex.config import ExportSettings

_STEPS = 4
_LIBRARIES = ("onnxruntime", "optimum", "optimum-onnx", "sentence-transformers", "tokenizers",
              "torch", "transformers")  # fmt: skip


class Recipe(TypedDict):
    """What a version decides beside its weights.

    ``matryoshka_dims`` None: `default_matryoshka_dims`. ``max_length`` None: the base model's
    own, at most 256.
    """

    base: str
    matryoshka_dims: Sequence[int] | None
    query_prompt: str
    document_prompt: str
    max_length: int | None


@dataclass(frozen=True, slots=True)
class ExportReport:
    """An export's result and evidence.

    ``parity`` holds cosines, ranking overlap and invariance; ``recall_by_dim`` the int8 vectors'
    recall@10 on the dev sample by Matryoshka dimension, alone and with a second stage that
    rescores (empty without judgements).
    """

    folder: Path
    manifest: Manifest
    parity: dict[str, float]
    recall_by_dim: dict[int, DimensionRecall]
    prefix_dim: int
    sizes_mb: dict[str, float]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        return {
            "space": self.manifest.space,
            "encodings": {name: graph.sha256 for name, graph in self.manifest.graphs.items()},
            "pooling": self.manifest.pooling,
            "parity": self.parity,
            "recall_by_dim": {str(dim): r.alone for dim, r in self.recall_by_dim.items()},
            "rescored_by_dim": {str(dim): r.rescored for dim, r in self.recall_by_dim.items()},
            "prefix_dim": self.prefix_dim,
            "sizes_mb": self.sizes_mb,
            "seconds": round(self.seconds, 1),
        }


def export_checkpoint(
    checkpoint: Path,
    target: Path,
    *,
    settings: ExportSettings,
    dev: Judgements | None = None,
    documents: Sequence[Document] = (),
    progress: Progress = no_progress,
    **recipe: Unpack[Recipe],
) -> ExportReport:
    """Export ``checkpoint`` into the folder ``target`` and judge it against torch.

    Args:
        checkpoint: folder of a sentence-transformers or plain transformers model.
        target: the artifact's folder. An equal artifact there is left as it is.
        settings: the tolerances.
        dev: judged queries for the ranking check and the first-stage dimension.
        documents: their documents and distractors; some hundreds are enough.
        progress: called at each step.
        recipe: base, Matryoshka dims, prompts and max length (see `Recipe`).

    Raises:
        ParityError: a graph does not agree with the checkpoint; nothing was published.
        ArtifactError: ``target`` holds something else, or the model cannot be exported.
        ModelError: there is no checkpoint.
        MissingExtra: the [export] extra is not installed.
    """
    start = time.perf_counter()
    existing = _existing(target)
    progress("export", 0, _STEPS)
    model = load_checkpoint(checkpoint, max_length=recipe["max_length"])
    draft = target.parent / f".{target.name}.{os.getpid()}.part"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        manifest = _write_files(model, draft, recipe)
        progress("export", 1, _STEPS)
        report = _judge(model, draft, manifest, settings, (dev, documents), progress)
        _publish(draft, target, report.manifest, existing)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    progress("export", _STEPS, _STEPS)
    return replace(report, folder=target, seconds=time.perf_counter() - start)


def _existing(target: Path) -> Manifest | None:
    """The manifest of what is there already. Raises ArtifactError where it is something else."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return None
    manifest = load_manifest(target)
    verify_files(target, manifest)
    return manifest


def _write_files(model: Checkpoint, folder: Path, recipe: Recipe) -> Manifest:
    """All files but the manifest, which is returned without figures and probe vectors."""
    graphs = write_graphs(model, folder)
    prompts = recipe["query_prompt"], recipe["document_prompt"]
    write_configs(model, folder, prompts)
    dims = _dims(model.dim, recipe["matryoshka_dims"])
    tokenizer = tokenizer_hash(folder / TOKENIZER_NAME)
    skipped = model.skipped(prompts[0]), model.skipped(prompts[1])
    images = None
    if model.clip is not None:
        facts = read_processor(model.model[0].processor.image_processor, folder)
        images = ImageTower(graphs=write_image_graphs(model.clip, folder), **facts)
    manifest = Manifest(
        base=recipe["base"],
        dim=model.dim,
        matryoshka_dims=dims,
        prefix_dim=first_stage_guess(dims),
        pooling=model.pooling,
        normalize=True,  # cosine is what collections compare by
        query_prompt=prompts[0],
        document_prompt=prompts[1],
        max_length=model.max_length,
        weights=model.weights,
        tokenizer=tokenizer,
        space=compute_space(
            weights=model.weights,
            tokenizer=tokenizer,
            pooling=model.pooling,
            normalize=True,
            prompts=prompts,
            max_length=model.max_length,
            dims=dims,
            skipped=skipped,
        ),
        graphs=graphs,
        files=hash_configs(folder),
        probes=Probes(PROBE_TEXTS, {}, cpu_name(), runtime_version()),
        heads=model.heads,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        libraries={name: version(name) for name in _LIBRARIES},
        head=head_folders(model),
        skipped=skipped,
        images=images,
    )
    return replace(manifest, format=manifest.needed_format)


def _dims(dim: int, asked: Sequence[int] | None) -> tuple[int, ...]:
    """The Matryoshka dimensions, the full one first."""
    if not asked:
        return default_matryoshka_dims(dim)
    if not all(0 < cut <= dim for cut in asked):
        raise ArtifactError(
            f"Expected Matryoshka dims from 1 to {dim}, the model's own; found {list(asked)}."
        )
    return tuple(sorted({dim, *asked}, reverse=True))


def _judge(
    model: Checkpoint,
    folder: Path,
    manifest: Manifest,
    settings: ExportSettings,
    data: tuple[Judgements | None, Sequence[Document]],
    progress: Progress,
) -> ExportReport:
    """Check the graphs, complete the manifest with figures and probes, and save it."""
    save_manifest(folder, manifest)
    with (
        OnnxEncoder(folder, graph="int8", verify=False) as int8,
        OnnxEncoder(folder, graph="fp32", verify=False) as fp32,
    ):
        figures = invariance_figures(model, int8)
        probes = {
            encoder.graph: Probes.pack(encoder.encode_documents(PROBE_TEXTS))
            for encoder in (int8, fp32)
        }
        progress("export", 2, _STEPS)
        sample = make_sample(*data)
        parity, recalls = parity_figures(model, int8, fp32, sample)
        progress("export", 3, _STEPS)
    figures |= parity
    images = manifest.images
    if images is not None:
        references = [text for text in sample.documents if image_path(text)][:FP32_TEXTS]
        images, found = judge_images(model.model, folder, images, references, settings)
        figures |= found
    raise_out_of_tolerance(figures, settings)
    prefix = choose_prefix_dim(recalls, settings.keep_recall) if recalls else manifest.prefix_dim
    final = replace(
        manifest,
        prefix_dim=prefix,
        certified=(("int8", "fp32"),),
        images=images,
        parity=figures,
        probes=replace(manifest.probes, vectors=probes),
    )
    save_manifest(folder, final)
    sizes = {name: (folder / file).stat().st_size / 1e6 for name, file in GRAPH_FILES.items()}
    return ExportReport(folder, final, figures, recalls, prefix, sizes, 0.0)


def _publish(draft: Path, target: Path, manifest: Manifest, existing: Manifest | None) -> None:
    """Rename the draft into place, unless an equal artifact is there already."""
    if existing is None:
        try:
            draft.rename(target)
        except OSError as error:
            raise ArtifactError(f"{target} cannot be written: {error.strerror}.") from error
        return
    if (existing.space, existing.graphs) != (manifest.space, manifest.graphs):
        raise ArtifactError(
            f"{target} holds another artifact (space {existing.space[:16]}…, this export has "
            f"{manifest.space[:16]}…). Versions do not change: export into another folder, or "
            "remove this one if nothing uses it."
        )
