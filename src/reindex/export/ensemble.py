"""Artifacts of several versions -> the artifact of an ensemble. Needs neither torch nor optimum."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reindex.artifact import (
    Graph,
    Manifest,
    Member,
    Probes,
    first_stage_guess,
    hash_files,
    load_manifest,
    save_manifest,
    space_of,
    verify_files,
)
from reindex.encoder.ensemble import EnsembleEncoder, joined_dims
from reindex.encoder.runtime import cpu_name, runtime_version
from reindex.errors import ArtifactError
from reindex.export.checks import PROBE_TEXTS, choose_prefix_dim, make_sample, recalls_by_dim

if TYPE_CHECKING:
    from reindex.config import ExportSettings
    from reindex.records import Document, Judgements


@dataclass(frozen=True, slots=True)
class Part:
    """A version that takes part: its name, its artifact, the weight of its vectors."""

    name: str
    folder: Path
    weight: float


def join_artifacts(
    parts: Sequence[Part],
    target: Path,
    *,
    settings: ExportSettings,
    dev: Judgements | None = None,
    documents: Sequence[Document] = (),
) -> dict[str, Any]:
    """Write the ensemble's artifact into ``target``, whole or not at all; returns its figures.

    Members' files are hard links where the file system has them, so they take no space twice.

    Raises:
        ArtifactError: fewer than two parts, weights that are not positive, a part that is an
            ensemble or embeds images, or graphs that not all have.
    """
    _check(parts)
    draft = target.parent / f".{target.name}.{os.getpid()}.part"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        manifest = _write(parts, draft)
        report = _judge(draft, manifest, settings, dev, documents)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return report


def _check(parts: Sequence[Part]) -> None:
    if len(parts) < 2 or len({part.name for part in parts}) < len(parts):
        raise ArtifactError("An ensemble is of two or more different versions.")
    if not all(0 < part.weight < float("inf") for part in parts):
        raise ArtifactError(
            f"Expected weights above zero, found {', '.join(str(p.weight) for p in parts)}."
        )
    for part in parts:
        manifest = load_manifest(part.folder)
        if manifest.members or manifest.images:
            raise ArtifactError(
                f"{part.name} is {'an ensemble' if manifest.members else 'a text–image model'}; "
                "an ensemble is of text models alone. Name its members instead."
            )


def _write(parts: Sequence[Part], folder: Path) -> Manifest:
    """The members' files, and the manifest without figures and probe vectors."""
    (folder / "members").mkdir(parents=True)
    members, manifests = [], []
    for part in parts:
        manifest = load_manifest(part.folder)
        verify_files(part.folder, manifest)
        place = f"members/{part.name}"
        shutil.copytree(part.folder, folder / place, copy_function=_link)
        members.append(Member(place, part.weight, manifest.space))
        manifests.append(manifest)
    dims = joined_dims([manifest.matryoshka_dims for manifest in manifests])
    facts = [[member.space, member.weight] for member in members]
    made = Manifest(
        base=" + ".join(part.name for part in parts),
        dim=dims[0],
        matryoshka_dims=dims,
        prefix_dim=first_stage_guess(dims),
        pooling="ensemble",
        normalize=True,
        query_prompt="",
        document_prompt="",
        max_length=max(manifest.max_length for manifest in manifests),
        weights=hashlib.sha256(json.dumps(facts).encode()).hexdigest(),
        tokenizer="",
        space="",
        graphs=_graphs(folder, members, manifests),
        files=_files(members, manifests, folder),
        probes=Probes(PROBE_TEXTS, {}, cpu_name(), runtime_version()),
        heads=max(manifest.heads for manifest in manifests),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        members=tuple(members),
    )
    return replace(made, space=space_of(made), format=made.needed_format)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


def _graphs(
    folder: Path, members: Sequence[Member], manifests: Sequence[Manifest]
) -> dict[str, Graph]:
    """Per kind of graph one entry that stands for all members' files of it."""
    shared = set.intersection(*(set(manifest.present) for manifest in manifests))
    if "int8" not in shared:
        raise ArtifactError("The members have no graph int8 in common. Export them again.")
    made = {}
    for name in sorted(shared, reverse=True):
        graphs = zip(members, (manifest.graphs[name] for manifest in manifests), strict=True)
        files = [f"{m.folder}/{part}" for m, g in graphs for part in (g.file, *g.external_data)]
        sha256 = hash_files([folder / file for file in files])
        made[name] = Graph(files[0], sha256, tuple(files[1:]))
    return made


def _files(
    members: Sequence[Member], manifests: Sequence[Manifest], folder: Path
) -> dict[str, str]:
    found: dict[str, str] = {}
    for member, manifest in zip(members, manifests, strict=True):
        found |= {f"{member.folder}/{name}": sha for name, sha in manifest.files.items()}
        own = f"{member.folder}/manifest.json"
        found[own] = hash_files([folder / own])
    return found


def _judge(
    folder: Path,
    manifest: Manifest,
    settings: ExportSettings,
    dev: Judgements | None,
    documents: Sequence[Document],
) -> dict[str, Any]:
    """Complete the manifest with probes and the first stage, save it, and say what was found."""
    vectors = {}
    for graph in manifest.graphs:
        with EnsembleEncoder(folder, manifest=manifest, graph=graph, verify=False) as encoder:
            found = encoder.encode_documents(PROBE_TEXTS)
            vectors[graph] = Probes.pack(found)
            if graph == "int8":
                alone = [encoder.encode_documents([text]) for text in PROBE_TEXTS]
                recalls = recalls_by_dim(encoder, make_sample(dev, documents))
                moved = float(np.abs(np.concatenate(alone) - found).max())
    prefix = choose_prefix_dim(recalls, settings.keep_recall) if recalls else manifest.prefix_dim
    final = replace(
        manifest,
        prefix_dim=prefix,
        certified=(("int8", "fp32"),) if "fp32" in manifest.graphs else (),
        parity={"invariance": moved},
        probes=replace(manifest.probes, vectors=vectors),
    )
    save_manifest(folder, final)
    return {
        "pooling": "ensemble",
        "parity": dict(final.parity),
        "recall_by_dim": {str(dim): recall.alone for dim, recall in recalls.items()},
        "rescored_by_dim": {str(dim): recall.rescored for dim, recall in recalls.items()},
        "prefix_dim": prefix,
    }
