"""`doctor`: one collection as it is, ours or somebody else's. Reads only."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from reindex.corpus.frameworks import StoredText, detect, stored_text
from reindex.errors import (
    CollectionNotFound,
    ReindexError,
    StoreError,
    StoreTooOld,
)
from reindex.indexing.apply import write_targets
from reindex.inspection.advice import (
    EMBEDDED_FACTS,
    human_bytes,
    index_findings,
    server_facts,
    vector_bytes,
)
from reindex.inspection.agreement import Agreement, agreement, best
from reindex.inspection.collections import physical, sample_points
from reindex.inspection.findings import Diagnosis, Finding, by_severity
from reindex.inspection.points import Deleted, PointScan
from reindex.owner.jobs import job
from reindex.protocols import CarryingStore
from reindex.records import CollectionDescription, StoredPoint, VectorDescription, text_hash
from reindex.registry.adoptions import Adoptions
from reindex.registry.ledger import Version
from reindex.stages.upkeep import status
from reindex.stages.verifying import GRAPHS, base_model, named_version
from reindex.workspace import Workspace

PAGE = 500
MOST_VERSIONS = 5
"""Versions that are tried on a collection that does not say which one made it, newest first."""

AGREES, MIXED = 0.95, 0.05
"""Shares of a sample: from the first on it is that model's, up to the second it is not."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What to look at. None: found out.

    Attributes:
        collection: name or alias; None: what is live.
        model: a version or a base model that may have made the vectors.
        vector, text: see `stages.verifying.AdoptionRequest`.
        sample: points that are embedded again; 0: none.
        limit: look at so many random points instead of all.
    """

    collection: str | None = None
    model: str | None = None
    vector: str | None = None
    text: StoredText | None = None
    sample: int = 100
    limit: int | None = None


@dataclass(slots=True)
class _Case:
    """What is known of the collection so far."""

    workspace: Workspace
    asked: Examination
    found: CollectionDescription
    findings: list[Finding] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        return "build" in self.found.metadata and "adopted" not in self.found.metadata

    def add(self, *finding: Any, **more: Any) -> None:
        self.findings.append(Finding(*finding, **more))


@job("aside", name="doctor")
def examine(workspace: Workspace, asked: Examination) -> Diagnosis:
    """Look at a collection; writes nothing.

    Raises:
        CollectionNotFound: there is no such collection (names the nearest), or nothing is live.
        StoreError: the store does not answer, or another process holds the collection.
    """
    try:
        store = workspace.store
    except StoreTooOld as error:
        return Diagnosis("", 0, 0, {}, (Finding("error", "server", str(error)),))
    name = asked.collection or workspace.live_collection()
    if name is None:
        raise CollectionNotFound(
            f"The alias {workspace.settings.alias!r} points at nothing, so there is no live "
            "collection. Name one: reindex doctor COLLECTION"
        )
    case = _Case(workspace, asked, _description(workspace, physical(store, name)))
    _facts(case)
    for problem in case.found.problems:
        case.add(
            "error" if "red" in problem or "stopped" in problem else "warning", "state", problem
        )
    looked_at = _points(case)
    case.findings += _registry(case)
    findings = by_severity(case.findings)
    return Diagnosis(case.found.name, case.found.points, looked_at, case.facts, findings)


def _description(workspace: Workspace, name: str) -> CollectionDescription:
    """As the server tells it, or, of other stores, what they all know."""
    store = workspace.store
    if isinstance(store, CarryingStore):
        return store.describe(name)
    info = store.info(name)
    full = VectorDescription(info.vector, "dense", info.dim, info.distance, {})
    prefix = [VectorDescription("prefix", "dense", info.prefix_dim, info.distance, {})]
    vectors = (full, *(prefix if info.prefix_dim else ()))
    owned = tuple(vector.name for vector in vectors)
    return CollectionDescription(
        name, info.points, vectors, owned, {}, {}, info.metadata, "green", (), None, None
    )


def _facts(case: _Case) -> None:
    found, store = case.found, case.workspace.store
    aliases = [alias for alias, target in store.aliases().items() if target == found.name]
    shown = [
        f"{vector.name!r}: {vector.dim or ''} {vector.kind} {vector.distance or ''}".strip()
        for vector in found.vectors
    ]
    case.facts.update(
        points=found.points,
        vectors="; ".join(" ".join(item.split()) for item in shown) or "none",
        version=found.metadata.get("version", "not known: made by somebody else"),
        aliases=", ".join(aliases) or "none",
        indexes=", ".join(found.indexes) or "none",
        size=f"{human_bytes(vector_bytes(found))} of vectors",
    )
    if found.status != "green":
        case.facts["status"] = found.status
    version = getattr(store, "version", None)
    embedded = EMBEDDED_FACTS if store.kind == "embedded" else {"store": store.kind}
    case.facts.update(server_facts(version) if version else embedded)


def _points(case: _Case) -> int:
    """Read the points, or ``limit`` random ones of them; returns how many."""
    slot = _slot(case)
    if slot is None:
        return 0
    sample = _drawn(case, max(case.asked.sample, 100), slot)
    if not sample:
        case.add("warning", "points", "the collection is empty.")
        return 0
    scan = PointScan(_text(case, sample), _deleted(case))
    for page in _pages(case, slot):
        scan.add(page)
        case.workspace.progress("doctor", scan.points, case.asked.limit or case.found.points)
    distance = next(v.distance for v in case.found.vectors if v.name == slot)
    case.findings += scan.findings(ours=case.ours, distance=str(distance))
    case.findings += index_findings(case.found, sample, _other(case))
    _incomplete(case)
    case.facts["text"] = str(scan.text)
    case.facts["size"] += f", {human_bytes(scan.payload_bytes / scan.points * case.found.points)} "
    case.facts["size"] += "of payloads"
    if scan.stamped:
        case.facts["stamped"] = f"{scan.stamped:,} of {scan.points:,}"
    if case.asked.sample:
        _model(case, sample[: case.asked.sample], scan.text)
    return scan.points


def _deleted(case: _Case) -> Deleted:
    """What single writes deleted, where they are delivered: elsewhere it may well be there."""
    workspace = case.workspace
    written = {workspace.live_collection(), *(t.collection for t in write_targets(workspace))}
    return workspace.journal.deleted if case.found.name in written else lambda _: {}


def _slot(case: _Case) -> str | None:
    """The vector to look at; a finding where nobody can tell."""
    dense = [vector.name for vector in case.found.vectors if vector.kind == "dense"]
    wanted = case.asked.vector
    slot = wanted if wanted is not None else next(iter(case.found.owned), None)
    if slot in dense:
        return slot
    case.add(
        "error" if wanted is not None else "warning", "vectors",
        f"there is no telling which of the dense vectors {dense} a model of yours made."
        if wanted is None else f"there is no dense vector {wanted!r}; there are {dense}.",
        'Name it: --vector NAME (--vector "" is the unnamed one).',
    )  # fmt: skip
    return None


def _drawn(case: _Case, count: int, slot: str) -> list[StoredPoint]:
    """In random order, so that a part of it is a sample too."""
    points = sample_points(case.workspace.store, case.found.name, count, slot)
    random.Random(13).shuffle(points)  # noqa: S311
    return points


def _pages(case: _Case, slot: str) -> Iterator[Sequence[StoredPoint]]:
    store, name = case.workspace.store, case.found.name
    if case.asked.limit is not None:
        yield sample_points(store, name, case.asked.limit, slot)
    elif isinstance(store, CarryingStore):
        yield from store.pages(name, slot, page=PAGE)
    else:
        yield from store.scroll(name, page=PAGE, with_payload=True, with_vector=True)


def _text(case: _Case, sample: Sequence[StoredPoint]) -> StoredText:
    """As asked, as adopted; else what gives the stamps' hashes, or what the payloads look like."""
    if case.asked.text is not None:
        return case.asked.text
    adopted = Adoptions(case.workspace.registry).of(case.found.name)
    if adopted is not None:
        given = adopted.text
        return StoredText(given["preset"], tuple(given["fields"]), given["separator"])
    configured = stored_text(case.workspace.settings.source)
    likely = [item.text for item in detect([point.payload for point in sample])]
    if not case.ours:
        return likely[0] if likely else configured

    def right(way: StoredText) -> int:
        return sum(
            point.stamp is not None and point.stamp.text_hash == text_hash(way(point.payload))
            for point in sample
        )

    return max([configured, *likely], key=right)


def _other(case: _Case) -> CollectionDescription | None:
    """What is live, where this is not it; else what was adopted."""
    store, live = case.workspace.store, case.workspace.live_collection()
    adopted = Adoptions(case.workspace.registry).all()
    names = [live, *(item.collection for item in adopted)]
    other = next((name for name in names if name not in (None, case.found.name)), None)
    if other is None or other not in store.collections():
        return None
    return _description(case.workspace, other)


def _incomplete(case: _Case) -> None:
    """Points that two-stage search does not see."""
    if not case.ours:
        return
    missing = case.workspace.store.missing_vectors(case.found.name)
    if missing:
        examples = tuple(sorted(missing, key=str)[:3])
        case.add(
            "warning", "no prefix",
            f"{len(missing):,} points lack one of the layout's vectors: two-stage search does not "
            "see them.", "`reindex build` mends those that the source has.",
            examples=examples,
        )  # fmt: skip


# -- which model made the vectors


def _model(case: _Case, sample: Sequence[StoredPoint], text: StoredText) -> None:
    tried: list[Agreement] = []
    for label, load in _candidates(case):
        try:
            tried.append(agreement(sample, text, load(), label))
        except ReindexError as error:
            case.add("warning", "model", f"{label} could not be tried: {error}")
        if tried and tried[-1].share >= AGREES:
            break
    if not tried:
        case.add(
            "info", "model", "no model was compared with the vectors.",
            "Name one: --model MODEL (a version, a Hub id, a folder, package:NAME)",
        )  # fmt: skip
        return
    found = best(tried)
    case.facts["model"] = f"{found.model}: {found.figures}"
    if found.cosines and found.share < AGREES:
        _disagreement(case, found)


def _disagreement(case: _Case, found: Agreement) -> None:
    if found.share > MIXED:
        case.add(
            "error", "mixed vectors",
            f"only a part of the vectors is {found.model}'s: {found.figures}.",
            "Points of another model, or texts that were edited and not embedded again.",
            examples=found.strangers,
        )  # fmt: skip
        return
    known = bool(case.asked.model or case.found.metadata.get("version"))
    case.add(
        "error" if known else "info", "model",
        f"the vectors are not {found.model}'s: {found.figures}.",
        "Another model, a prompt, or other fields were embedded: --model, --text-key.",
        examples=found.strangers if known else (),
    )  # fmt: skip


def _candidates(case: _Case) -> Iterator[tuple[str, Any]]:
    """(label, what loads its ``encode``): as asked, as the metadata say, else what there is."""
    workspace, asked = case.workspace, case.asked.model
    version = named_version(workspace, asked) if asked else _by_metadata(case)
    if asked and version is None:
        yield asked, lambda: base_model(workspace, asked)[0]
        return
    exported = [v for v in workspace.registry.versions() if v.state == "exported"]
    versions = [version] if version else exported[::-1][:MOST_VERSIONS]
    for version in versions:
        for graph in _graphs(case, version):
            yield f"{version.name} ({version.base}), {graph}", _loader(workspace, version, graph)


def _by_metadata(case: _Case) -> Version | None:
    """The version that the collection says it is of, where this registry knows it."""
    named = case.found.metadata.get("version")
    versions = case.workspace.registry.versions()
    return next((version for version in versions if version.name == named), None)


def _graphs(case: _Case, version: Version) -> Sequence[str]:
    """The artifact's own default for what a build made; both for what somebody else did."""
    return GRAPHS if case.found.metadata.get("encoding") != version.encoding else ("int8",)


def _loader(workspace: Workspace, version: Version, graph: str) -> Any:
    return lambda: workspace.encoder(version, graph=graph).encode_documents


# -- alias and registry


def _registry(case: _Case) -> Iterator[Finding]:
    """Where registry and store tell different stories about this collection or the alias."""
    workspace, name = case.workspace, case.found.name
    try:
        found = status(workspace)
    except StoreError as error:
        yield Finding("warning", "registry", str(error))
        return
    for difference in found.differences:
        if name in difference or repr(workspace.settings.alias) in difference:
            yield Finding("warning", "registry", difference)
    if workspace.registry.collection(name) is None and not case.ours:
        yield Finding(
            "info", "registry", f"{name} is not adopted.", f"reindex adopt {name} --model MODEL"
        )
