"""Models that are no version, judged beside versions on a subset, without a build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reindex.config.conditions import measures_in
from reindex.errors import ComparisonError, ModelError
from reindex.evaluation.compare import judged_set_of
from reindex.evaluation.family import as_family
from reindex.evaluation.metrics import Scores
from reindex.evaluation.models import SubsetBench, SubsetScores
from reindex.evaluation.results import Comparison
from reindex.evaluation.results_models import ModelsReport
from reindex.evaluation.retrieval import locate_in
from reindex.evaluation.subset import exact_scores
from reindex.measures import Measure, parse_measure, parse_measures
from reindex.off_the_shelf import ModelSpec, OffTheShelf, load_model
from reindex.plain import to_plain
from reindex.protocols import Encoder
from reindex.records import Judgements, Vector
from reindex.registry.judged_uses import JudgedUses
from reindex.registry.ledger import BuiltCollection
from reindex.stages.bases import base_spec
from reindex.stages.choosing import Few, answered, choose_few, embed_few
from reindex.stages.supervision import Job
from reindex.stages.verifying import named_version
from reindex.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Beside:
    """What was found of the models, before they are judged together with the candidates."""

    bench: SubsetBench
    documents: int
    of_queries: int
    judged_set: str

    def judged_with(
        self, workspace: Workspace, comparisons: Sequence[Comparison], judgements: Judgements
    ) -> tuple[tuple[Comparison, ...], ModelsReport]:
        """The comparisons and the models' rows, with verdicts that hold for all of them."""
        settings, gate = workspace.settings.evaluation, workspace.settings.gate
        judged, verdicts = as_family(comparisons, judgements, settings, gate, self.bench.members())
        report = self.bench.report(self.documents, self.of_queries, verdicts)
        return judged, replace(report, judged_set=self.judged_set)


def record_models(workspace: Workspace, report: ModelsReport) -> None:
    """Count each model as a use of the judged set, with its row."""
    for row in report.models():
        details = {
            **to_plain(row), "documents": report.documents, "queries": report.queries,
            "metric": report.metric,
        }  # fmt: skip
        JudgedUses(workspace.registry).add(report.judged_set, "model", row.name, details=details)


def score_beside(
    workspace: Workspace,
    live: BuiltCollection,
    candidates: Sequence[BuiltCollection],
    models: Sequence[ModelSpec],
    judgements: Judgements,
    job: Job,
) -> Beside:
    """Live, candidates and models search the same few documents exactly.

    Live and candidates by the vectors that they have stored; the models embed the texts, and their
    vectors are kept by content.

    Raises:
        ModelError: a model cannot be found or loaded. MissingExtra: what it needs is missing.
        ComparisonError: a model is a version that is compared, or live; or no query's answers are
            in all collections.
    """
    settings, gate = workspace.settings.evaluation, workspace.settings.gate
    metric = parse_measure(gate.metric, settings.k)
    asked = [*settings.metrics, str(metric), *measures_in(gate.conditions)]
    measures = parse_measures(asked, settings.k)
    taken = [built.version for built in (live, *candidates)]
    loaded = [_load(workspace, spec, taken) for spec in models]  # wrong names fail before searches
    few = choose_few(workspace, live, judgements, metric.k, job)
    stored = {built.version: _stored(workspace, built, few) for built in (live, *candidates)}
    shared = [id for id in few.texts if all(id in vectors for vectors in stored.values())]
    few = Few(answered(few.judged, shared), {id: few.texts[id] for id in shared}, few.runs)
    rows = [
        _version_scores(workspace, name, vectors, few, measures) for name, vectors in stored.items()
    ]
    rows[0] = replace(rows[0], role="live")
    rows += [_model_scores(workspace, model, few, measures, job) for model in _named_apart(loaded)]
    bench = SubsetBench(few.judged, tuple(rows), str(metric), settings, gate)
    return Beside(bench, len(shared), len(judgements.queries), judged_set_of(judgements))


def _stored(workspace: Workspace, built: BuiltCollection, few: Few) -> dict[str, Vector]:
    """What a collection holds of the documents, by id."""
    found = locate_in(workspace.store, built.name, list(few.texts), with_vector=True)
    return {id: point.vector for id, point in found.items() if point.vector is not None}


def _version_scores(
    workspace: Workspace,
    name: str,
    stored: Mapping[str, Vector],
    few: Few,
    measures: Sequence[Measure],
) -> SubsetScores:
    encoder = workspace.encoder(workspace.registry.version(name))
    documents = np.stack([stored[id] for id in few.texts]).astype(np.float32)
    scores = _scores(encoder, few, documents, measures)
    return SubsetScores(name, "version", encoder.dim, scores)


def _model_scores(
    workspace: Workspace, model: OffTheShelf, few: Few, measures: Sequence[Measure], job: Job
) -> SubsetScores:
    with workspace.remembering(model.encoder) as remembering:
        documents = embed_few(remembering, few.texts, job, stage=f"embedding with {model.name}")
    scores = _scores(model.encoder, few, documents, measures)
    return SubsetScores(
        model.name, "model", model.encoder.dim, scores, model.prompts, model.max_length
    )


def _scores(encoder: Encoder, few: Few, documents: Vector, measures: Sequence[Measure]) -> Scores:
    queries = encoder.encode_queries([query.text for query in few.judged.queries])
    return exact_scores(few.judged, queries, list(few.texts), documents, measures)


def _load(workspace: Workspace, spec: ModelSpec, taken: Sequence[str]) -> OffTheShelf:
    if spec.name in taken:
        raise ComparisonError(
            f"{spec.name} is compared as it is built. --model takes a Hub id, a folder, "
            "package:NAME, or a version that is not built yet."
        )
    version, settings = named_version(workspace, spec.name), workspace.settings
    if version is None:
        place = base_spec(workspace, spec.name)
        length, threads = settings.train.max_length, settings.embed.threads
        return load_model(spec, place, max_length=length, threads=threads)
    if spec.prompts is not None:
        raise ModelError(f"{spec.name} is a version, which has its own prompts: leave them out.")
    return OffTheShelf(spec.name, workspace.encoder(version))


def _named_apart(models: Sequence[OffTheShelf]) -> Iterator[OffTheShelf]:
    """The same model under other prompts gets a number."""
    seen: Counter[str] = Counter()
    for model in models:
        seen[model.name] += 1
        number = seen[model.name]
        yield replace(model, name=f"{model.name} ({number})") if number > 1 else model
