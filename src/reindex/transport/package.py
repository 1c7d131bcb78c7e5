"""A version's artifact, packed to be read by others, too, and sent.

The folder that arrives is the artifact with a model card, the weights for loaders that compute
with torch, and a note on where it comes from. Its manifest names all of them with their checksums
and is sent last; its own sha256 is the artifact's *digest*.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath
from typing import Any, BinaryIO

from reindex.artifact import (
    MANIFEST_NAME,
    Manifest,
    hash_files,
    load_manifest,
    save_manifest,
    verify_files,
)
from reindex.errors import ArtifactError
from reindex.protocols import Progress, no_progress
from reindex.transport.card import CARD_NAME, model_card
from reindex.transport.contents import PICKLED, check_contents, check_manifest, listed
from reindex.transport.fetch import read_manifest
from reindex.transport.places import Place

ORIGIN_NAME = "reindex.json"
"""Where it comes from: version, kind, measures, hashes of the queries it was trained on."""


@dataclass(frozen=True, slots=True)
class Package:
    """What is sent.

    Attributes:
        folder: the artifact.
        origin: what `ORIGIN_NAME` says; JSON.
        weights: name -> file of safetensors that other loaders read; none where there are none.
        graphs: which of the artifact's graphs; None: all.
    """

    folder: Path
    origin: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Path] = field(default_factory=dict)
    graphs: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Pushed:
    """What lies at ``address`` now. ``sent`` and ``kept`` count files; ``bytes`` all of them."""

    address: str
    digest: str
    graphs: tuple[str, ...]
    sent: int
    kept: int
    bytes: int


def push_artifact(
    place: Place, package: Package, *, movable: bool = False, progress: Progress = no_progress
) -> Pushed:
    """Send an artifact to ``place``; killed and run again, it goes on where it was.

    Args:
        place: an empty folder, or one that has this artifact or a part of it.
        package: what is sent.
        movable: the place keeps its own history, so another artifact there is replaced.
        progress: called with each file.

    Raises:
        ArtifactError: the artifact is damaged, the place has another one or files that loaders
            would unpickle, or it cannot be written.
    """
    manifest, chosen = _chosen(package)
    _check_free(place, manifest, movable=movable)
    with tempfile.TemporaryDirectory(prefix="reindex-push-") as made:
        files, manifest = _pack(package, manifest, Path(made))
        check_manifest(manifest)
        check_contents(package.folder, set(listed(manifest, chosen)) - set(manifest.extras))
        done = {True: 0, False: 0}

        def sent(_: str, new: bool) -> None:
            done[new] += 1
            progress("push", sum(done.values()), len(files))

        place.write(files, _Same(files), sent)
        _check_arrived(place, files)
        size = sum(file.stat().st_size for file in files.values())
        digest = hash_files([files[MANIFEST_NAME]])
    return Pushed(place.shown, digest, chosen, done[True], done[False], size)


def weights_in(checkpoint: Path) -> dict[str, Path]:
    """The safetensors of a checkpoint's transformer; none where it has only pickled ones."""
    found = [
        *checkpoint.glob("model*.safetensors"),
        *checkpoint.glob("model*.safetensors.index.json"),
    ]
    return {file.name: file for file in sorted(found)}


def _chosen(package: Package) -> tuple[Manifest, tuple[str, ...]]:
    manifest = load_manifest(package.folder)
    chosen = package.graphs or manifest.present
    unknown = [name for name in chosen if name not in manifest.present]
    if unknown:
        raise ArtifactError(
            f"This artifact has no graph {', '.join(unknown)}. It has: "
            f"{', '.join(manifest.present)}."
        )
    verify_files(package.folder, manifest, chosen)
    return manifest, tuple(name for name in manifest.graphs if name in chosen)


def _pack(package: Package, manifest: Manifest, made: Path) -> tuple[dict[str, Path], Manifest]:
    """Every file by its name there, and the manifest that says so."""
    chosen = package.graphs or manifest.present
    manifest = replace(manifest, base=_without_path(manifest.base))
    extras = {name: file for name, file in package.weights.items() if not manifest.members}
    (made / CARD_NAME).write_text(model_card(manifest, package.origin), "utf-8")
    (made / ORIGIN_NAME).write_text(json.dumps(package.origin, indent=1, sort_keys=True), "utf-8")
    extras |= {name: made / name for name in (CARD_NAME, ORIGIN_NAME)}
    told = replace(
        manifest,
        extras={name: hash_files([file]) for name, file in sorted(extras.items())},
        left_out=tuple(name for name in manifest.graphs if name not in chosen),
    )
    save_manifest(made, told)
    files = {name: package.folder / name for name in listed(told, chosen) if name not in extras}
    return {**files, **extras, MANIFEST_NAME: made / MANIFEST_NAME}, told


def _without_path(base: str) -> str:
    """A base that is a folder of this host is told by its name alone."""
    for kind in (Path(base), PureWindowsPath(base)):
        if kind.is_absolute() or base.startswith("~"):
            return kind.name
    return base


def _check_free(place: Place, manifest: Manifest, *, movable: bool) -> None:
    """Raises ArtifactError where another artifact is, or what other loaders would unpickle."""
    there = place.sizes()
    pickled = sorted(name for name in there if Path(name).suffix.lower() in PICKLED)
    if pickled:
        raise ArtifactError(
            f"{place.shown} holds {pickled[0]}, which other loaders would unpickle beside this "
            "artifact. Push to an empty folder."
        )
    if movable or MANIFEST_NAME not in there:
        return
    _, other, digest = read_manifest(place)
    if (other.space, other.graphs) != (manifest.space, manifest.graphs):
        raise ArtifactError(
            f"{place.shown} holds another artifact (space {other.space[:16]}…, digest "
            f"{digest[:16]}…). Versions do not change: push to an address of this version's own."
        )


def _check_arrived(place: Place, files: Mapping[str, Path]) -> None:
    there = place.sizes()
    wrong = [name for name, file in files.items() if there.get(name) != file.stat().st_size]
    if wrong:
        raise ArtifactError(
            f"{place.shown} did not keep {', '.join(wrong[:3])} as sent. Somebody else may be "
            "writing there; run the same command again."
        )


class _Same:
    """Whether a stream holds the very bytes of the file of that name."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def __call__(self, name: str, stream: BinaryIO) -> bool:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
        return digest.hexdigest() == hash_files([self._files[name]])


def origin_of(folder: Path) -> dict[str, Any]:
    """What an artifact's `ORIGIN_NAME` says; empty where it has none. Verified before."""
    try:
        content = json.loads((folder / ORIGIN_NAME).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        raise ArtifactError(f"{ORIGIN_NAME} is malformed. Push the version again.") from None
    return content if isinstance(content, dict) else {}
