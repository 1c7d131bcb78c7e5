"""The artifact of a version: its folder, its manifest, and the hashes that name space and encoding.

Imports nothing heavy, so that listing and checking versions costs nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from reindex.errors import ArtifactError
from reindex.records import Vector

FORMAT = 2
"""What this release reads. An artifact that needs no more is written as the first format."""
MANIFEST_NAME = "manifest.json"
TOKENIZER_NAME = "tokenizer.json"

POOLINGS = ("mean", "cls", "lasttoken", "max", "weightedmean", "mean_sqrt_len_tokens")
"""How token vectors become one; joined by ``+``, several are concatenated."""

FOLDER_LAYOUT: Mapping[str, str] = {
    "manifest.json": "what this folder is; written last, so a folder without it is not an artifact",
    "onnx/model.onnx": "fp32 graph: token ids -> token vectors",
    "onnx/model_qint8.onnx": "int8 graph of the same space; the default",
    "tokenizer.json": "the tokenizer, all of it",
    "tokenizer_config.json": "max length and special tokens, for other loaders",
    "special_tokens_map.json": "special tokens, for other loaders",
    "config.json": "the transformer's architecture, for other loaders",
    "modules.json": "sentence-transformers: transformer -> pooling -> normalisation",
    "sentence_bert_config.json": "sentence-transformers: max length",
    "config_sentence_transformers.json": "sentence-transformers: prompts, similarity",
    "1_Pooling/config.json": "sentence-transformers: pooling",
}
"""The folder, file by file. The layout is sentence-transformers', so others load it as it is."""

GRAPH_FILES: Mapping[str, str] = {"int8": "onnx/model_qint8.onnx", "fp32": "onnx/model.onnx"}

TORCH_DTYPES = ("float16", "float32")
"""Number formats in which torch embeds documents: on CUDA, and on the CPU."""


@dataclass(frozen=True, slots=True)
class Graph:
    """One ONNX graph. ``sha256`` (the *encoding*) covers the file and then its external data."""

    file: str
    sha256: str
    external_data: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Probes:
    """Fixed texts, and the vectors that the build host computed for them.

    ``vectors`` maps a graph's name to base64 of little-endian float32, ``(len(texts), dim)``: the
    very bits, which decimal figures would round.
    """

    texts: tuple[str, ...]
    vectors: Mapping[str, str]
    cpu: str
    onnxruntime: str

    def matrix(self, graph: str) -> Vector:
        """``(len(texts), dim)`` float32 as the build host computed them with ``graph``."""
        raw = np.frombuffer(base64.b64decode(self.vectors[graph]), dtype="<f4")
        return raw.reshape(len(self.texts), -1).astype(np.float32)

    @staticmethod
    def pack(vectors: Vector) -> str:
        """What ``vectors`` holds for a matrix."""
        return base64.b64encode(np.ascontiguousarray(vectors, dtype="<f4").tobytes()).decode()


@dataclass(frozen=True, slots=True)
class ImageTower:
    """The vision tower of a text–image model, and how an image becomes its pixels.

    ``resize`` is (shorter side,), (height, width) or empty, ``crop`` (height, width) or empty,
    ``resample`` Pillow's filter; ``probes`` holds a made image's vector by graph, see `Probes`.
    """

    graphs: Mapping[str, Graph]
    resize: tuple[int, ...]
    crop: tuple[int, ...]
    resample: int
    rescale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    probes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> ImageTower:
        """From the manifest's JSON."""
        lists = {name: tuple(raw[name]) for name in ("resize", "crop", "mean", "std")}
        graphs = {name: _graph(graph) for name, graph in raw["graphs"].items()}
        return cls(**{**raw, **lists, "graphs": graphs})


@dataclass(frozen=True, slots=True)
class Member:
    """A version within an ensemble: the folder of its artifact, its vectors' weight, its space."""

    folder: str
    weight: float
    space: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What ``manifest.json`` says: all that is needed to embed a text as this version does.

    ``prefix_dim`` is the first-stage dimension that export chose; ``certified`` holds the pairs of
    graph names whose vectors may be compared; ``files`` the sha256 of every other file. ``head``
    names the folders of dense layers behind the pooling, ``skipped`` the tokens of query and
    document prompt that the pooling leaves out. ``extras`` are files that no encoder reads, such
    as a card, ``left_out`` the graphs whose files did not travel along.
    """

    base: str
    dim: int
    matryoshka_dims: tuple[int, ...]
    prefix_dim: int
    pooling: str
    normalize: bool
    query_prompt: str
    document_prompt: str
    max_length: int
    weights: str
    tokenizer: str
    space: str
    graphs: Mapping[str, Graph]
    files: Mapping[str, str]
    probes: Probes
    certified: tuple[tuple[str, str], ...] = ()
    parity: Mapping[str, float] = field(default_factory=dict)
    heads: int = 1
    created: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)
    head: tuple[str, ...] = ()
    skipped: tuple[int, int] = (0, 0)
    images: ImageTower | None = None
    members: tuple[Member, ...] = ()
    extras: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    format: int = 1

    @property
    def present(self) -> tuple[str, ...]:
        """Names of the graphs whose files are in the folder."""
        return tuple(name for name in self.graphs if name not in self.left_out)

    def parts(self, name: str) -> dict[str, tuple[tuple[str, ...], str]]:
        """Of a graph's name: file -> (it and its external data, their sha256), towers included."""
        graphs = [self.graph(name), *([self.images.graphs[name]] if self.images else [])]
        return {graph.file: ((graph.file, *graph.external_data), graph.sha256) for graph in graphs}

    @property
    def needed_format(self) -> int:
        """The lowest format that says what this does; a release that reads less must refuse it."""
        more = self.head or any(self.skipped) or self.images or self.members
        return 2 if more or self.pooling not in POOLINGS[:3] else 1

    def encoding(self, graph: str = "int8") -> str:
        """The sha256 that names the vectors of ``graph``. Raises ArtifactError without it."""
        sha256 = self.graph(graph).sha256
        if self.members:  # the weights decide too, and are in no file but the manifest
            return hashlib.sha256(f"{sha256} {self.weights}".encode()).hexdigest()
        if self.images is None:
            return sha256
        return hashlib.sha256(f"{sha256} {self.images.graphs[graph].sha256}".encode()).hexdigest()

    def graph(self, name: str) -> Graph:
        """The graph of this name. Raises ArtifactError where the artifact has none."""
        if name not in self.graphs:
            have = ", ".join(sorted(self.graphs))
            raise ArtifactError(f"This artifact has no graph '{name}'. It has: {have}.")
        return self.graphs[name]

    def certified_with(self, encoding: str) -> tuple[str, ...]:
        """The encodings (sha256) whose vectors may stand in one collection with ``encoding``'s."""
        # torch's vectors are those that export compared every graph with
        torch = {torch_encoding(self.weights, dtype) for dtype in TORCH_DTYPES}
        pairs = [{self.encoding(one), self.encoding(other)} for one, other in self.certified]
        found = set().union(*(pair | torch for pair in pairs if encoding in pair), {encoding})
        return tuple(sorted(found))


def torch_encoding(weights: str, dtype: str) -> str:
    """The encoding of vectors that torch computes in ``dtype`` from a checkpoint's weights."""
    return hashlib.sha256(f"torch {dtype} {weights}".encode()).hexdigest()


def default_matryoshka_dims(dim: int) -> tuple[int, ...]:
    """Full, 2/3, 1/3 and 1/6 of ``dim``, rounded to multiples of 8, descending, each once.

    384 -> (384, 256, 128, 64). Thirds because a 128-dim prefix of 384 keeps 99 % of recall, and
    multiples of 8 because SIMD kernels of vector stores work in such blocks.
    """
    cuts = {8 * round(dim * share / 8) for share in (2 / 3, 1 / 3, 1 / 6)}
    return (dim, *sorted((cut for cut in cuts if 0 < cut < dim), reverse=True))


def compute_space(
    *,
    weights: str,
    tokenizer: str,
    pooling: str,
    normalize: bool,
    prompts: tuple[str, str],
    max_length: int,
    dims: Sequence[int],
    skipped: tuple[int, int] = (0, 0),
) -> str:
    """The sha256 over all that decides where a text lies; vectors of one space compare.

    Args:
        weights: sha256 of the checkpoint's tensors and architecture, dense layers included.
        tokenizer: `tokenizer_hash` of its ``tokenizer.json``.
        pooling: how token vectors become one.
        normalize: whether vectors are brought to unit length.
        prompts: what is put before queries and before documents.
        max_length: tokens per text.
        dims: the Matryoshka dimensions, the full one first.
        skipped: tokens of both prompts that the pooling leaves out.
    """
    facts = [weights, tokenizer, pooling, normalize, list(prompts), max_length, list(dims)]
    facts += [list(skipped)] if any(skipped) else []  # spaces of other models stay what they are
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def tokenizer_hash(file: Path) -> str:
    """sha256 of a ``tokenizer.json`` without its truncation and padding.

    The encoder sets those two itself, and other loaders write them into the file in passing.
    """
    content = json.loads(file.read_text("utf-8"))
    content["truncation"] = content["padding"] = None
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def hash_files(files: Sequence[Path]) -> str:
    """sha256 over the bytes of ``files``, one after the other."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def save_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write ``manifest.json`` (atomically) and return its path."""
    target = folder / MANIFEST_NAME
    draft = folder / f"{MANIFEST_NAME}.part"
    draft.write_text(json.dumps(asdict(manifest), indent=1, ensure_ascii=False) + "\n", "utf-8")
    os.replace(draft, target)
    return target


def load_manifest(folder: Path) -> Manifest:
    """Read and check ``manifest.json``; the files it names are checked by `verify_files`.

    Raises:
        ArtifactError: it is missing, malformed, of a newer format, or its own facts do not add up
            to the space it claims.
    """
    file = folder / MANIFEST_NAME
    try:
        return parse_manifest(file.read_bytes(), file)
    except FileNotFoundError:
        raise ArtifactError(
            f"There is no {file}, so {folder} is not a complete artifact. Run `reindex export`."
        ) from None
    except OSError as error:
        raise ArtifactError(f"{file} cannot be read: {error}. Export the version again.") from None


def parse_manifest(content: bytes, file: Path) -> Manifest:
    """`load_manifest` of what was read from ``file`` already, which messages name."""
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{file} cannot be read: {error}. Export the version again.") from None
    _check_format(file, raw)
    manifest = _parse(file, raw)
    _check_space(file, manifest)
    return manifest


def verify_files(folder: Path, manifest: Manifest, graphs: Sequence[str] | None = None) -> None:
    """Compare the folder's files with the manifest's; ``graphs``: which ones (None: all present).

    Raises:
        ArtifactError: a file is missing, or is not the one that was exported.
    """
    wanted: dict[str, tuple[tuple[str, ...], str]] = {
        name: ((name,), sha256) for name, sha256 in manifest.files.items()
    }
    for name in manifest.present if graphs is None else graphs:
        if name in manifest.left_out:
            raise ArtifactError(
                f"{folder} came without the graph '{name}'. It has: {', '.join(manifest.present)}. "
                f"Push it with --graph {name}, and pull it again."
            )
        wanted |= manifest.parts(name)
    for name, (parts, expected) in wanted.items():
        try:
            found = hash_files([folder / part for part in parts])
        except OSError as error:
            raise ArtifactError(
                f"{folder / name} cannot be read ({error.strerror}), but the manifest names it. "
                "Restore the folder or export the version again."
            ) from None
        if found != expected:
            raise ArtifactError(
                f"{folder / name} is not the file that was exported: expected sha256 "
                f"{expected[:16]}…, found {found[:16]}…. Restore it or export the version again."
            )


def _check_format(file: Path, raw: Any) -> None:
    found = raw.get("format") if isinstance(raw, dict) else None
    if not isinstance(found, int):
        raise ArtifactError(f"{file}: expected an object with a number 'format', found {found!r}.")
    if found > FORMAT:
        raise ArtifactError(
            f"{file} has format {found}, but this release reads up to {FORMAT}. Upgrade reindex."
        )


def _parse(file: Path, raw: dict[str, Any]) -> Manifest:
    """Build the dataclass; unknown keys are ignored (the format number guards the meaning)."""
    try:
        known = {item.name: raw[item.name] for item in fields(Manifest) if item.name in raw}
        known["graphs"] = {name: _graph(graph) for name, graph in known["graphs"].items()}
        if known.get("images"):
            known["images"] = ImageTower.parse(known["images"])
        probes = known["probes"]
        known["probes"] = Probes(**{**probes, "texts": tuple(probes["texts"])})
        known["matryoshka_dims"] = tuple(known["matryoshka_dims"])
        known["certified"] = tuple((one, other) for one, other in known.get("certified", ()))
        known["members"] = tuple(Member(**member) for member in known.get("members", ()))
        known |= {name: tuple(known.get(name, ())) for name in ("head", "left_out")}
        query, document = known.get("skipped", (0, 0))
        manifest = Manifest(**known | {"skipped": (query, document)})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            f"{file} is malformed ({type(error).__name__}: {error}). Export the version again."
        ) from None
    if not manifest.members and not set(manifest.pooling.split("+")) <= set(POOLINGS):
        raise ArtifactError(
            f"{file}: expected pooling {', '.join(POOLINGS)}, found '{manifest.pooling}'."
        )
    return manifest


def _graph(raw: Mapping[str, Any]) -> Graph:
    return Graph(raw["file"], raw["sha256"], tuple(raw.get("external_data", ())))


def _check_space(file: Path, manifest: Manifest) -> None:
    expected = space_of(manifest)
    if manifest.space != expected:
        raise ArtifactError(
            f"{file}: it claims space {manifest.space[:16]}…, but its own facts (weights, "
            f"tokenizer, pooling, prompts, lengths) make {expected[:16]}…. It was edited; restore "
            "it or export the version again."
        )


def space_of(manifest: Manifest) -> str:
    """`compute_space` of the manifest's own facts."""
    return compute_space(
        weights=manifest.weights,
        tokenizer=manifest.tokenizer,
        pooling=manifest.pooling,
        normalize=manifest.normalize,
        prompts=(manifest.query_prompt, manifest.document_prompt),
        max_length=manifest.max_length,
        dims=manifest.matryoshka_dims,
        skipped=manifest.skipped,
    )


def first_stage_guess(dims: Sequence[int]) -> int:
    """The Matryoshka dim nearest to a third of the full one: the choice without judgements."""
    return min(dims, key=lambda dim: (abs(math.log(3 * dim / dims[0])), dim))
