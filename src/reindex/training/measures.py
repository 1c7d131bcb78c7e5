"""What a model is measured by on dev: retrieval, scored pairs, labels, classes of texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from reindex.corpus.training_sets import TrainingSet
from reindex.records import LabelledPair, LabelledText, ScoredPair, TrainingExample
from reindex.training.devset import METRICS, DevSet, evaluate, make_evaluator
from reindex.training.libraries import load, quiet, sentence_transformers_part
from reindex.training.lighter import cut_at

POSITIVE_LABELS = ("1", "entailment")
"""Labels of pairs that belong together, in data of two labels and in NLI."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a training is measured by and never sees.

    Attributes:
        dev: judged queries; they choose the checkpoint.
        general: by name, judged queries or scored pairs that tell what the base forgets.
        original: the base that is averaged with and may be forgotten, where the training begins
            with what an earlier round made of it. None: the training's base.
    """

    dev: DevSet | None = None
    general: Mapping[str, DevSet | TrainingSet] = field(default_factory=dict)
    original: str | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """Figures of a model; more is better, and the first one counts.

    ``trained``: it needs weights that only the training makes, so a base has no figure.
    """

    names: tuple[str, ...]
    figures: Callable[[Any], dict[str, float]]
    trained: bool = False


@dataclass(frozen=True, slots=True)
class Measures:
    """Several measures as one; the first figure of the first one chooses the checkpoint.

    ``length``: tokens of a text that are read, whatever a training step reads; None: as many.
    """

    parts: tuple[Measure, ...]
    length: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of all figures."""
        return tuple(name for part in self.parts for name in part.names)

    def figures(self, model: Any, *, untrained: bool = False) -> dict[str, float]:
        """All figures of a model; ``untrained``: those that a base has."""
        with quiet(), cut_at(model, self.length):
            return {
                name: figure
                for part in self.parts
                if not (untrained and part.trained)
                for name, figure in part.figures(model).items()
            }

    def evaluator(self) -> Any:
        """As the trainer takes it."""

        def call(model: Any, *_: Any, **__: Any) -> dict[str, float]:
            return self.figures(model)

        return sentence_transformers_part("evaluation").SequentialEvaluator([call])

    def read(self, logged: Mapping[str, Any]) -> dict[str, float]:
        """The figures among what the trainer logged; empty where it logged something else."""
        return {
            name: float(logged[f"eval_{name}"]) for name in self.names if f"eval_{name}" in logged
        }


def retrieval(dev: DevSet, *, batch_size: int, name: str = "") -> Measure:
    """nDCG@10, recall@10 and MRR@10 on judged queries."""
    evaluator = make_evaluator(dev, batch_size=batch_size)
    names = tuple(f"{metric} ({name})" if name else metric for metric in METRICS)

    def figures(model: Any) -> dict[str, float]:
        return dict(zip(names, evaluate(model, evaluator).values(), strict=True))

    return Measure(names, figures)


def measure_of(data: TrainingSet, *, name: str, batch_size: int, head: Any = None) -> Measure:
    """How a model is measured on rows of a training set's kind that it is not trained on.

    ===========  ==================================================================
    scored       Spearman's correlation of cosine and score
    labelled     accuracy of ``head``, a trained softmax classifier; without one, average
    and nli      precision of the cosine for label 1, or entailment
    classes      share of texts whose nearest other text is of their class
    triplets     share of rows whose positive is nearer than all their negatives
    pairs        share of rows whose positive is nearer than all others' (recall@1)
    ===========  ==================================================================
    """
    row = data.rows[0]
    score: Callable[..., float]
    metric, score = _SCORES[type(row)]
    if isinstance(row, LabelledPair) and head is not None:
        metric, score = "accuracy", partial(_accuracy, head=head)
    key = f"{metric} ({name})"

    def figures(model: Any) -> dict[str, float]:
        encode = partial(_encode, model, batch_size=batch_size, unit=head is None)
        return {key: float(score(data.rows, encode))}

    return Measure((key,), figures, trained=head is not None)


def _encode(
    model: Any, texts: Sequence[str], side: str = "query", *, batch_size: int, unit: bool
) -> Any:
    """``(n, dim)`` vectors; texts that are likened take the prompt of queries, as in training."""
    call = model.encode_document if side == "document" else model.encode_query
    return call(
        list(texts), batch_size=batch_size, normalize_embeddings=unit, show_progress_bar=False
    ).astype(np.float64)


def _cosines(rows: Sequence[Any], encode: Callable[..., Any]) -> Any:
    first, second = (encode([getattr(row, part) for row in rows]) for part in ("first", "second"))
    return (first * second).sum(axis=1)


def _spearman(rows: Sequence[Any], encode: Callable[..., Any]) -> float:
    found = load("scipy.stats").spearmanr(_cosines(rows, encode), [row.score for row in rows])
    return float(np.nan_to_num(found.statistic))  # all scores alike: no order to be right about


def _average_precision(rows: Sequence[Any], encode: Callable[..., Any]) -> float:
    positive = [row.label in POSITIVE_LABELS for row in rows]
    if not any(positive):
        return 0.0
    return float(load("sklearn.metrics").average_precision_score(positive, _cosines(rows, encode)))


def _accuracy(rows: Sequence[Any], encode: Callable[..., Any], *, head: Any) -> float:
    torch = load("torch")
    loss, classes = head
    first, second = (encode([getattr(row, part) for row in rows]) for part in ("first", "second"))
    features = torch.from_numpy(np.hstack([first, second, abs(first - second)]).astype(np.float32))
    with torch.no_grad():
        said = loss.classifier(features.to(loss.classifier.weight.device)).argmax(dim=1).tolist()
    right = [classes[number] == row.label for number, row in zip(said, rows, strict=True)]
    return float(np.mean(right))


def _nearest(rows: Sequence[Any], encode: Callable[..., Any]) -> float:
    vectors = encode([row.text for row in rows])
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    labels = np.array([row.label for row in rows])
    return float((labels[cosines.argmax(axis=1)] == labels).mean())


def _ranked_first(rows: Sequence[TrainingExample], encode: Callable[..., Any]) -> float:
    anchors = encode([row.anchor for row in rows])
    positives = encode([row.positive for row in rows], "document")
    best = (anchors * positives).sum(axis=1)
    if not any(row.negatives for row in rows):
        return float(((anchors @ positives.T).max(axis=1) <= best).mean())
    count = min(len(row.negatives) for row in rows)
    others = [encode([row.negatives[place] for row in rows], "document") for place in range(count)]
    return float(np.all([best > (anchors * other).sum(axis=1) for other in others], axis=0).mean())


_SCORES: dict[type, tuple[str, Callable[..., float]]] = {
    ScoredPair: ("spearman", _spearman),
    LabelledPair: ("average precision", _average_precision),
    LabelledText: ("accuracy", _nearest),
    TrainingExample: ("accuracy", _ranked_first),
}
