"""A version's artifact goes elsewhere, or comes from there and becomes a version here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from reindex.artifact import MANIFEST_NAME, Manifest, load_manifest
from reindex.encoder import load_encoder
from reindex.errors import ArtifactError
from reindex.registry.ledger import Version
from reindex.registry.lineage import Lineage
from reindex.stages.supervision import Job, supervised
from reindex.transport import Fetched, Package, Pushed, Wish, fetch, open_place, push_artifact
from reindex.transport.package import origin_of, weights_in
from reindex.workspace import Workspace

_HASH = re.compile(r"[0-9a-f]{32}")
_VERSION = re.compile(r"v\d+")


@dataclass(frozen=True, slots=True)
class Load:
    """What of a version is pushed.

    ``graphs``: which; None: all. ``weights``: safetensors for loaders that compute with torch.
    ``lineage``: hashes of the queries it was trained on, by which a comparison elsewhere knows
    leaks; whoever has them can tell whether a query that they guess was among them.
    """

    graphs: tuple[str, ...] | None = None
    weights: bool = True
    lineage: bool = True


@dataclass(frozen=True, slots=True)
class Pulled:
    """A version that came; ``new`` is False where the very artifact was here already."""

    version: Version
    digest: str
    origin: str
    new: bool


def push(workspace: Workspace, name: str, address: str, load: Load | None = None) -> Pushed:
    """Push a version's artifact to an address. Killed and run again, it goes on where it was.

    Raises:
        ArtifactError: it is not exported, is damaged, or the place does not take it.
        ConfigError: that is no address.
    """
    load = load or Load()
    version = workspace.registry.version(name)
    if version.artifact is None:
        raise ArtifactError(f"{name} is not exported yet. Run: reindex export {name}")
    place = open_place(address)
    with supervised(workspace, "push", name) as job:
        job.details["address"] = place.shown
        pushed = push_artifact(
            place, _package(workspace, version, load), movable=address.startswith("hf://"),
            progress=job.progress,
        )  # fmt: skip
        job.details["digest"] = pushed.digest
    return pushed


def _package(workspace: Workspace, version: Version, load: Load) -> Package:
    home = workspace.settings.home
    folder = home / str(version.artifact)
    weights = {}
    if load.weights and version.checkpoint is not None and not load_manifest(folder).images:
        weights = weights_in(home / version.checkpoint)
    return Package(folder, _origin(workspace, version, load), weights, load.graphs)


def _origin(workspace: Workspace, version: Version, load: Load) -> dict[str, Any]:
    """What is told of a version elsewhere: no paths, no names of files or data."""
    registry = workspace.registry
    trained = Lineage(registry).trained(version.name)
    hashes = set().union(*(registry.trained_hashes(each) for each in trained))
    return {
        "format": 1,
        "project": workspace.settings.project.name,
        "version": version.name,
        "kind": version.kind,
        "metrics": {
            key: value for key, value in version.metrics.items() if key in ("before", "after")
        },
        "report": {
            key: value for key, value in version.report.items()
            if key in ("recall_by_dim", "rescored_by_dim")
        },
        "trained_on": sorted(hashes) if load.lineage else None,
    }  # fmt: skip


def pull(
    workspace: Workspace, address: str, *, name: str | None = None, wish: Wish | None = None
) -> Pulled:
    """Fetch the artifact at an address, verify it, and register it as a version.

    The very artifact that is here already is not fetched again, whatever ``name`` says.

    Args:
        workspace: the project.
        address: where it was pushed to.
        name: the version's (``v7``); None: the next.
        wish: which one must be there, which graphs, and how large it may be.

    Raises:
        ArtifactError: there is none, or it is not what its manifest says.
        ProbeMismatch: this host computes other vectors with it than the one that made it.
        RegistryError: ``name`` is no version's name. Conflict: it is taken.
    """
    place = open_place(address)
    workspace.registry.check_free(name)
    with supervised(workspace, "pull", name) as job:
        job.details["address"] = place.shown
        fetched = fetch(place, workspace.settings.home / "artifacts" / ".incoming", wish,
                        job.progress)  # fmt: skip
        job.details["digest"] = fetched.digest
        known = _known(workspace, fetched)
        if known is not None:
            return Pulled(known, fetched.digest, place.shown, new=False)
        graph = "int8" if "int8" in fetched.manifest.present else fetched.manifest.present[0]
        load_encoder(fetched.folder, graph=graph, threads=1).close()
        version = _register(workspace, fetched, place.shown, name, job)
    return Pulled(version, fetched.digest, place.shown, new=True)


def _known(workspace: Workspace, fetched: Fetched) -> Version | None:
    """The version that this artifact already is, pulled or made here."""
    for version in workspace.registry.versions():
        if version.artifact is None:
            continue
        file = workspace.settings.home / version.artifact / MANIFEST_NAME
        try:
            mine = load_manifest(file.parent)
        except ArtifactError:
            continue
        if _identity(mine) == _identity(fetched.manifest) and set(fetched.manifest.present) <= set(
            mine.present
        ):
            return version
    return None


def _identity(manifest: Manifest) -> tuple[Any, ...]:
    return (manifest.space, manifest.graphs, manifest.images, manifest.prefix_dim)


def _register(
    workspace: Workspace, fetched: Fetched, address: str, name: str | None, job: Job
) -> Version:
    """The version's row and its folder, both or neither."""
    manifest, origin = fetched.manifest, origin_of(fetched.folder)
    told = origin.get("trained_on")
    unknown = not isinstance(told, list) and origin.get("kind") != "base"
    hashes = [item for item in told if _HASH.fullmatch(str(item))] if isinstance(told, list) else []
    trained = hashes or unknown or origin.get("kind") == "fine-tuned"
    base = manifest.base
    if _VERSION.fullmatch(base):  # a version there, which is none of ours
        base = f"{_plain(origin.get('project'))} {base}"
    pulled = {
        "address": address, "digest": fetched.digest,
        "project": _plain(origin.get("project")), "version": _plain(origin.get("version")),
        "lineage": not unknown,
    }  # fmt: skip
    with workspace.registry.transaction():  # no version before its artifact is there
        made = workspace.registry.add_version(
            base=base,
            kind="fine-tuned" if trained else "base",
            recipe={"pulled": pulled},
            name=name,
        ).name
        job.details["version"] = made
        workspace.registry.record_training_queries(made, hashes)
        target = workspace.artifact_folder(made)
        fetched.folder.replace(target)
        folder = str(target.relative_to(workspace.settings.home))
        return workspace.registry.update_version(
            made,
            state="exported",
            artifact=folder,
            checkpoint=folder if any(n.endswith(".safetensors") for n in manifest.extras) else None,
            space=manifest.space,
            encoding=manifest.encoding("int8" if "int8" in manifest.graphs else "fp32"),
            dim=manifest.dim,
            metrics=_mapping(origin.get("metrics")),
            report={
                **_mapping(origin.get("report")),
                "pooling": manifest.pooling,
                "parity": dict(manifest.parity),
                "prefix_dim": manifest.prefix_dim,
            },
        )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _plain(value: Any) -> str:
    """A name from elsewhere, fit to be shown."""
    return re.sub(r"[^\w .@-]", "", str(value or ""))[:64]


def pulled_from(version: Version) -> dict[str, Any]:
    """Where a version was pulled from: address, digest and its name there; empty: made here."""
    return _mapping(version.recipe.get("pulled"))
