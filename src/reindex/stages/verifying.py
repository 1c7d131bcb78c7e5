"""Whether a model made a collection's vectors, and which encoding of it, before it is adopted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reindex.corpus.frameworks import StoredText
from reindex.errors import AdoptionRefused, ModelError, UnknownVersion
from reindex.inspection.agreement import Agreement, Encode, agreement, best
from reindex.records import StoredPoint
from reindex.registry.ledger import Version
from reindex.stages.bases import base_spec
from reindex.stages.exporting import export
from reindex.stages.training import BaseRecipe, adopt_base
from reindex.workspace import Workspace

GRAPHS = ("fp32", "int8")
"""What may have made the vectors: the frameworks embed with torch, whose vectors are fp32's."""


@dataclass(frozen=True, slots=True)
class AdoptionRequest:
    """What to adopt, and as what. None: found out from the collection and the model.

    Attributes:
        collection: its name, or an alias of it.
        model: a version that is registered, or a base model (Hub id, folder, package:NAME).
        vector: the slot of the model's vectors; "" is the unnamed one.
        text: how texts are read from payloads.
        sample: points that are embedded again.
        min_agreement: share of them whose vector must be the model's.
        max_length, query_prompt, document_prompt: as the application embeds.
    """

    collection: str
    model: str
    vector: str | None = None
    text: StoredText | None = None
    sample: int = 100
    min_agreement: float = 0.95
    max_length: int | None = None
    query_prompt: str = ""
    document_prompt: str = ""


def verified_version(
    workspace: Workspace,
    request: AdoptionRequest,
    points: Sequence[StoredPoint],
    ways: Sequence[StoredText],
) -> Version:
    """A registered version, or a new one from a base model that was verified before."""
    registered = _registered(workspace, request)
    if registered is not None:
        exported = registered.state == "exported"
        return registered if exported else export(workspace, registered.name)
    how = (request.max_length, request.query_prompt, request.document_prompt)
    encode, max_length = base_model(workspace, request.model, *how)
    agreed = best(list(_agreements(points, ways, encode, request.model)))
    check_agreement(request.collection, agreed, request)
    recipe = BaseRecipe(
        max_length=max_length,
        query_prompt=request.query_prompt,
        document_prompt=request.document_prompt,
    )
    known = _same_base(workspace, {"base": request.model, **recipe})
    version = known or adopt_base(workspace, request.model, recipe)
    return export(workspace, version.name)


def base_model(
    workspace: Workspace,
    base: str,
    max_length: int | None = None,
    query_prompt: str = "",
    document_prompt: str = "",
) -> tuple[Encode, int]:
    """How a base model embeds documents by torch, as the frameworks do, and its max length.

    Raises:
        ModelError: it cannot be found or loaded.
        MissingExtra: the [train] extra is not installed.
    """
    from reindex.training.base import load_base

    prompts = (query_prompt, document_prompt)
    spec = base_spec(workspace, base)
    model = load_base(spec, max_length=max_length, prompts=prompts, longest=None)

    def encode(texts: Sequence[str]) -> Any:
        prompted = [document_prompt + text for text in texts]
        return model.encode(prompted, show_progress_bar=False, normalize_embeddings=True)

    return encode, int(model.max_seq_length)


def named_version(workspace: Workspace, model: str) -> Version | None:
    """The version of this name; None for a base model. Raises UnknownVersion for ``v7`` if not."""
    try:
        return workspace.registry.version(model)
    except UnknownVersion:
        if re.fullmatch(r"v\d+", model):  # nobody's model has such a name on the Hub
            raise
        return None


def _registered(workspace: Workspace, request: AdoptionRequest) -> Version | None:
    version = named_version(workspace, request.model)
    if version is None:
        return None
    if request.max_length or request.query_prompt or request.document_prompt:
        raise ModelError(
            f"{request.model} is a version, which has its own prompts and max length; leave the "
            "options out, or name its base model instead."
        )
    return version


def _same_base(workspace: Workspace, recipe: dict[str, Any]) -> Version | None:
    """The version that an adoption which did not finish has left."""
    for version in workspace.registry.versions():
        if version.kind == "base" and version.recipe == recipe and version.checkpoint:
            return version
    return None


def _agreements(
    points: Sequence[StoredPoint], ways: Sequence[StoredText], encode: Encode, model: str
) -> Iterator[Agreement]:
    """One way of reading after the other, until one is beyond doubt."""
    for way in ways:
        found = agreement(points, way, encode, model)
        yield found
        if found.share > 0.9:
            return


def agreeing_graph(
    workspace: Workspace,
    version: Version,
    points: Sequence[StoredPoint],
    ways: Sequence[StoredText],
) -> tuple[Agreement, str, str]:
    """The graph of the version that comes nearest: how near, its name and its encoding."""
    tried: list[tuple[Agreement, str, str]] = []
    for graph in GRAPHS:
        encoder = workspace.encoder(version, graph=graph)
        label = f"{version.name} ({version.base}), {graph}"
        found = best(list(_agreements(points, ways, encoder.encode_documents, label)))
        tried.append((found, graph, encoder.encoding))
    winner = best([found for found, _, _ in tried])
    return next(item for item in tried if item[0] is winner)


def check_agreement(name: str, found: Agreement, request: AdoptionRequest) -> None:
    """Raise AdoptionRefused, with figures and likely reasons, unless enough of a sample agrees."""
    if found.cosines and found.share >= request.min_agreement:
        return
    lines = [
        f"{name} was not made by {found.model}: expected {request.min_agreement:.0%} of a sample "
        f"to agree; found: {found.figures}. Text read from {found.text}.",
        _explanation(found),
        "`reindex doctor` says more about the collection.",
    ]
    if found.strangers:
        lines.insert(1, f"Points that do not agree, for example: {_shown(found.strangers)}.")
    raise AdoptionRefused("\n".join(lines))


def _shown(ids: Sequence[int | str]) -> str:
    return ", ".join(map(str, ids))


def _explanation(found: Agreement) -> str:
    if not found.cosines:
        return "Not one of the sampled points has both a text and a usable vector."
    if found.share > 0.3:
        return (
            "Part of it agrees: points of two models, or texts that were edited and not embedded "
            "again. Mend those first, or accept them with a lower --min-agreement."
        )
    if found.median > 0.8:
        return (
            "Near, but not it: the same model with a prompt (--document-prompt), another "
            "--max-length, other text (--text-key), another quantization, or a fine-tuned sibling."
        )
    return "Another model, or other text than this was embedded (--text-key, --vector)."
