"""How a collection is searched: measured after each build, or chosen once and frozen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reindex.artifact import Manifest
from reindex.corpus.frameworks import stored_text
from reindex.errors import ComparisonError
from reindex.evaluation.calibrate import Trial, choose_oversampling
from reindex.evaluation.front import Ask, Front, measure_front
from reindex.evaluation.layouts import FirstStage
from reindex.evaluation.subset import random_points
from reindex.owner.jobs import job
from reindex.plain import to_plain
from reindex.promotion import operator
from reindex.protocols import Encoder, Progress, no_progress
from reindex.records import SearchPlan, Vector
from reindex.registry.ledger import BuiltCollection
from reindex.registry.serving_plans import SearchSettings, ServingPlan, ServingPlans
from reindex.searcher import SEARCH_KEY
from reindex.stages.supervision import supervised
from reindex.workspace import Workspace

QUERIES = 200
QUERY_WORDS = 24
"""Words of a document's beginning that stand for a query where there are no dev queries."""
CALIBRATION_LASTS = 0.05
"""Share of the points that may change before a collection is measured again."""
QUANTIZATIONS = ("none", "scalar", "binary")


@dataclass(frozen=True, slots=True)
class Tuned:
    """The front of a collection, and the plan that is frozen now.

    ``plan`` is None where the target is out of reach: nothing was changed then.
    """

    front: Front
    plan: ServingPlan | None


@job("work")
def tune(
    workspace: Workspace, name: str, *, target: float | None = None, other_layouts: bool = True
) -> Tuned:
    """Measure the front of a version's collection and freeze its fastest point that reaches
    ``target``: recall against exact search of the same vectors (None: what the gate lets two-stage
    search keep at least).

    ``other_layouts``: compute what other first stages would keep, in one pass over the collection.

    Raises:
        ComparisonError: the version has no complete collection.
    """
    version = workspace.registry.version(name)
    built = workspace.registry.collection(workspace.collection_of(version.name))
    if built is None or not built.complete:
        state = "has no collection yet" if built is None else "is not completely built"
        raise ComparisonError(f"{name} {state}. Run: reindex build {name}")
    with supervised(workspace, "tune", name) as run:
        encoder = workspace.encoder(version)
        wanted = _default_target(workspace) if target is None else target
        front = _front(
            workspace, encoder, built, wanted, run.progress,
            manifest=encoder.manifest if other_layouts else None,
        )  # fmt: skip
        plan = _freeze(workspace, built, front) if front.reached else None
        run.details.update(target=wanted, reached=front.reached, chosen=to_plain(front.chosen))
    return Tuned(front, plan)


@job("work")
def untune(workspace: Workspace, name: str) -> bool:
    """Search a version's collection by what its build measured again; whether it had a plan."""
    collection = workspace.collection_of(workspace.registry.version(name).name)
    had = ServingPlans(workspace.registry).forget(collection)
    _tell_retrievers(workspace, collection)
    return had


def calibrate(workspace: Workspace, encoder: Encoder, collection: str) -> dict[str, Any]:
    """After a build: measure what is not measured yet, or not since much of it changed."""
    built = workspace.registry.collection(collection)
    if built is None:
        return {}
    plan = ServingPlans(workspace.registry).of(collection)
    if plan is not None:
        fresh = not _changed(built, plan.writes)
        return {} if fresh else _look_again(workspace, encoder, built, plan)
    if built.oversampling is not None and not _changed(built, built.calibrated_writes):
        return {}
    return _choose(workspace, encoder, built)


def _changed(built: BuiltCollection, since: int) -> bool:
    return built.writes - since > CALIBRATION_LASTS * built.points


def _choose(workspace: Workspace, encoder: Encoder, built: BuiltCollection) -> dict[str, Any]:
    """Measure how many first-stage candidates a collection needs, and keep the figure."""
    if built.layout == "single":
        return {}
    vectors, asked = query_vectors(workspace, encoder, built.name)
    if not len(vectors):
        return {}
    chosen = choose_oversampling(
        workspace.store,
        built.name,
        vectors,
        k=workspace.settings.evaluation.k,
        keep=_default_target(workspace),
    )
    workspace.registry.update_collection(
        built.name, oversampling=chosen.oversampling, calibrated_writes=built.writes
    )
    _publish(workspace, built.name, SearchSettings(chosen.oversampling))
    return {"oversampling": chosen.oversampling, "overlap": chosen.overlap, "queries": asked}


def _look_again(
    workspace: Workspace, encoder: Encoder, built: BuiltCollection, plan: ServingPlan
) -> dict[str, Any]:
    """A frozen plan stays while it reaches its target; else the front is measured anew."""
    vectors, asked = query_vectors(workspace, encoder, built.name)
    if not len(vectors):
        return {}
    how = SearchPlan(
        k=plan.k, two_stage=built.layout == "two-stage", oversampling=plan.oversampling,
        hnsw_ef=plan.hnsw_ef, with_payload=False,
    )  # fmt: skip
    recall = Trial(workspace.store, built.name, vectors, plan.k)(how).overlap
    if recall < plan.target:
        front = _front(workspace, encoder, built, plan.target, no_progress)
        plan = _freeze(workspace, built, front)
        recall = plan.recall
    else:
        ServingPlans(workspace.registry).confirm(plan.collection, recall, built.writes)
    return {"oversampling": plan.oversampling, "hnsw_ef": plan.hnsw_ef, "overlap": recall,
            "target": plan.target, "queries": asked}  # fmt: skip


def _front(
    workspace: Workspace,
    encoder: Encoder,
    built: BuiltCollection,
    target: float,
    progress: Progress,
    *,
    manifest: Manifest | None = None,
) -> Front:
    vectors, asked = query_vectors(workspace, encoder, built.name)
    server = workspace.settings.store.kind == "server"
    own = (workspace.settings.qdrant.quantization or "none") if server else "none"
    stages = _other_stages(manifest, built, own, server=server) if manifest else ()
    ask = Ask(
        k=workspace.settings.evaluation.k, target=target, asked=asked, server=server,
        quantization=own, stages=stages,
    )  # fmt: skip
    return measure_front(workspace.store, built.name, vectors, ask, progress)


def _other_stages(
    manifest: Manifest, built: BuiltCollection, own: str, *, server: bool
) -> tuple[FirstStage, ...]:
    """The Matryoshka dimensions below the full one, in every way that the store can keep them."""
    full, kinds = max(manifest.matryoshka_dims), QUANTIZATIONS if server else ("none",)
    here = FirstStage(built.prefix_dim or full, own)
    dims = sorted({dim for dim in manifest.matryoshka_dims if dim < full})
    stages = (FirstStage(dim, kind) for dim in dims for kind in kinds)
    return tuple(stage for stage in stages if stage != here)


def _freeze(workspace: Workspace, built: BuiltCollection, front: Front) -> ServingPlan:
    chosen = front.chosen
    plan = ServingPlan(
        collection=built.name, version=built.version, build=built.build,
        oversampling=chosen.oversampling, hnsw_ef=chosen.hnsw_ef, k=front.k, target=front.target,
        recall=chosen.recall, writes=built.writes, who=operator(),
    )  # fmt: skip
    frozen = ServingPlans(workspace.registry).freeze(plan, to_plain(front))
    _tell_retrievers(workspace, built.name)
    return frozen


def _publish(workspace: Workspace, collection: str, how: SearchSettings) -> None:
    """Say in a server's collection how it is searched, for hosts that have no registry."""
    if not workspace.store.local:
        workspace.store.set_metadata(collection, {SEARCH_KEY: asdict(how)})


def _tell_retrievers(workspace: Workspace, collection: str) -> None:
    """Retrievers of this process search by the new settings from the next request on."""
    built = workspace.registry.collection(collection)
    if built is None:
        return
    settings = ServingPlans(workspace.registry).settings_of(built)
    _publish(workspace, collection, settings)
    for retriever in workspace.retrievers.values():
        retriever.retune(collection, settings.oversampling, settings.hnsw_ef)


def _default_target(workspace: Workspace) -> float:
    return 1 - workspace.settings.gate.max_two_stage_loss


def query_vectors(workspace: Workspace, encoder: Encoder, collection: str) -> tuple[Vector, str]:
    """Queries to choose by, ``(n, dim)``, and what they are in words.

    Dev queries where there are some, else the beginnings of random documents of the collection.
    Never the judged test queries: a choice made on them would flatter the comparison.
    """
    rng = np.random.default_rng(workspace.settings.evaluation.seed)
    judged = workspace.judgements("dev")
    if judged is not None and judged.queries:
        chosen = rng.permutation(len(judged.queries))[:QUERIES]
        texts = [judged.queries[place].text for place in chosen]
        return encoder.encode_queries(texts), f"{len(texts)} dev queries"
    ids = random_points(workspace.store, collection, QUERIES, rng)
    points = workspace.store.retrieve(collection, ids, with_payload=True, with_vector=True)
    text_of = stored_text(workspace.settings.source)
    texts = [
        " ".join(text.split()[:QUERY_WORDS])
        for text in (text_of(point.payload) for point in points.values())
        if text
    ]
    if texts:
        return encoder.encode_queries(texts), f"the beginnings of {len(texts)} documents"
    stored = [point.vector for point in points.values() if point.vector is not None]
    vectors = np.stack(stored) if stored else np.zeros((0, encoder.dim), np.float32)
    return vectors, f"the vectors of {len(stored)} documents"
