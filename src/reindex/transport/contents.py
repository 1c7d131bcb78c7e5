"""What may travel: plain names, data formats alone, and nothing that a loader would run.

Held against what is sent as well as against what comes, so that nothing is pushed that cannot be
pulled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from reindex.artifact import MANIFEST_NAME, Manifest
from reindex.encoder.pooling import ACTIVATIONS
from reindex.errors import ArtifactError
from reindex.transport.graphs import external_data

DATA_FORMATS = frozenset({".json", ".txt", ".md", ".model", ".onnx", ".safetensors"})
""".model is sentencepiece's vocabulary. External data of graphs may have any harmless name."""

PICKLED = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz"})
"""Formats that Python loaders unpickle, which is to run what they hold."""

CODE = frozenset({".py", ".pyc", ".so", ".dll", ".dylib", ".sh", ".js", ".h5", ".keras", ".zip",
                  ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z"})  # fmt: skip
"""Code, formats that carry code, and archives, which nothing here unpacks."""

MODULES = "sentence_transformers."
LONGEST_NAME, DEEPEST = 200, 6
LARGEST_CONFIG = 5_000_000
"""Bytes of a JSON file that is looked into; a tokenizer's is not."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@ -]*")
_DEVICES = frozenset({"con", "prn", "aux", "nul"})


def check_names(names: Iterable[str]) -> None:
    """Raises ArtifactError unless all are relative paths within a folder that any system can hold.

    No ``..``, no absolute path, no drive, no hidden file, no two that differ in case alone, and
    none that is a folder of another's.
    """
    seen: dict[str, str] = {}
    for name in names:
        parts = name.split("/")
        plain = all(_PLAIN.fullmatch(part) and part.rstrip(". ") == part for part in parts)
        devices = _DEVICES.intersection(part.lower().partition(".")[0] for part in parts)
        if not plain or devices or len(name) > LONGEST_NAME or len(parts) > DEEPEST:
            raise ArtifactError(
                f"Expected the plain name of a file within the artifact, found {name[:80]!r}. "
                "Whoever made this manifest did not use `reindex push`; nothing was written."
            )
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise ArtifactError(f"{name!r} and {other!r} are one file on some systems.")
    for name in seen:
        for folder in PurePosixPath(name).parents:
            if str(folder) in seen:
                raise ArtifactError(f"{seen[str(folder)]!r} is a file and a folder.")


def check_formats(names: Iterable[str], external: Iterable[str] = ()) -> None:
    """Raises ArtifactError unless all are data that is read, never run or unpickled."""
    external = frozenset(external)
    for name in names:
        suffixes = {suffix.lower() for suffix in PurePosixPath(name).suffixes[-2:]}
        if suffixes & PICKLED:
            raise ArtifactError(
                f"{name} is of a format that loaders unpickle, which runs whatever it holds. "
                "Weights travel as safetensors and ONNX alone: convert the model, and export it."
            )
        data = name in external or PurePosixPath(name).suffix.lower() in DATA_FORMATS
        if suffixes & CODE or not data:
            raise ArtifactError(
                f"{name} is not of a format that an artifact holds: "
                f"{', '.join(sorted(DATA_FORMATS))}."
            )


def check_manifest(manifest: Manifest) -> None:
    """`check_names` and `check_formats` of all that a manifest names, folders included."""
    names = list(listed(manifest))
    check_names([*names, *manifest.head, *(member.folder for member in manifest.members)])
    if MANIFEST_NAME in names:
        raise ArtifactError(f"{MANIFEST_NAME} names itself.")
    graphs: set[str] = set()
    externals: set[str] = set()
    for name in manifest.graphs:
        for file, (parts, _) in manifest.parts(name).items():
            graphs.add(file)
            externals.update(part for part in parts[1:] if not part.endswith(".onnx"))
    check_formats(names, externals)
    wrong = [name for name in graphs if not name.endswith(".onnx")]
    if wrong:
        raise ArtifactError(f"Expected ONNX graphs (*.onnx), found {', '.join(sorted(wrong))}.")


def listed(manifest: Manifest, graphs: Iterable[str] | None = None) -> Iterator[str]:
    """Every file that a manifest names, each once; of the ``graphs`` alone (None: all)."""
    names = dict.fromkeys([*manifest.files, *manifest.extras])
    for graph in manifest.graphs if graphs is None else graphs:
        for parts, _ in manifest.parts(graph).values():
            names |= dict.fromkeys(parts)
    yield from names


def check_contents(folder: Path, names: Iterable[str]) -> None:
    """Look into the files of a folder for what would make a loader run code or read elsewhere.

    Raises:
        ArtifactError: a config names code of its own (``auto_map``), a module or an activation
            that is none of sentence-transformers', or a graph has data outside the artifact.
    """
    names = frozenset(names)
    for name in sorted(names):
        if name.endswith(".onnx"):
            _check_graph(folder, name, names)
        elif name.endswith(".json") and (folder / name).stat().st_size <= LARGEST_CONFIG:
            _check_config(name, _json(folder / name))
        elif PurePosixPath(name).name in ("config.json", "modules.json", "tokenizer_config.json"):
            raise ArtifactError(f"{name} is larger than {LARGEST_CONFIG:,} bytes.")


def _check_graph(folder: Path, name: str, names: frozenset[str]) -> None:
    for location in external_data(folder / name):
        beside = (PurePosixPath(name).parent / location).as_posix()
        if beside not in names:
            raise ArtifactError(
                f"{name} has data at {location[:80]!r}, which is not a file of this artifact. A "
                "runtime would read whatever lies there; nothing was loaded."
            )


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{file.name} is no JSON document: {type(error).__name__}.") from None


def _check_config(name: str, content: Any) -> None:
    if isinstance(content, Mapping) and ("auto_map" in content or "trust_remote_code" in content):
        raise ArtifactError(
            f"{name} asks loaders to run code of the model's own (auto_map). Such models are not "
            "taken: export a model whose architecture is in transformers."
        )
    file = PurePosixPath(name).name
    if file == "modules.json":
        rows = content if isinstance(content, list) else [content]
        for row in rows:
            kind = str(row.get("type")) if isinstance(row, Mapping) else ""
            if not kind.startswith(MODULES):
                raise ArtifactError(
                    f"{name}: expected modules of sentence-transformers, found {kind[:80]!r}, "
                    "which a loader would import."
                )
            if row.get("path"):
                check_names([str(row["path"])])
    elif isinstance(content, Mapping) and "activation_function" in content:
        kind = str(content["activation_function"])
        if file == "config.json" and "in_features" in content and kind not in ACTIVATIONS:
            raise ArtifactError(
                f"{name}: expected an activation of {', '.join(ACTIVATIONS)}; found {kind[:80]!r}, "
                "which a loader would import."
            )
