"""The table of losses, as sentence-transformers' modules, alone or inside MatryoshkaLoss."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from reindex.errors import ConfigError
from reindex.losses import Loss
from reindex.training.images import is_text_image
from reindex.training.libraries import load, sentence_transformers_part
from reindex.training.passes import ON_A_CPU, Passes

if TYPE_CHECKING:
    from reindex.config import TrainSettings

TRIPLET_MARGIN = 0.2
"""In cosine distance. FaceNet's 0.2 (Schroff et al. 2015) is in squared distance, twice that."""

CONTRASTIVE_MARGIN = 0.5
"""In cosine distance: sentence-transformers' default."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a loss is built from, beside the settings.

    Attributes:
        model: that is trained.
        dims: Matryoshka dimensions, the full one first.
        negatives: per row of the data.
        classes: how many labels the data has.
        guide: loads the model that tells false negatives; called where a loss wants one.
        passes: rows that are computed at once.
    """

    model: Any
    dims: Sequence[int]
    negatives: int = 0
    classes: int = 0
    guide: Callable[[], Any] | None = None
    passes: Passes = ON_A_CPU


def make_loss(loss: Loss, needs: Needs, settings: TrainSettings) -> Any:
    """The loss as a module; inside MatryoshkaLoss (2D: Matryoshka2dLoss) where it can be.

    Each Matryoshka dimension weighs the same (Kusupati et al. 2022, arXiv:2205.13147), unless
    ``train.matryoshka_weights`` says otherwise. In 2D every
    step also lowers the loss of one random layer before the last (Li et al. 2024,
    arXiv:2402.14776).

    Raises:
        ConfigError: the combination cannot be computed.
    """
    cached = is_cached(loss, settings, needs.negatives, needs.passes)
    _check(loss, needs, settings, cached=cached)
    inner = _MAKERS[loss.name](needs, settings, cached)
    losses = sentence_transformers_part("losses")
    if settings.matryoshka == "off" or not loss.matryoshka:
        return inner
    named = dict(zip(settings.matryoshka_dims, settings.matryoshka_weights, strict=False))
    weights = [named.get(dim, 1.0) for dim in needs.dims]
    if settings.matryoshka == "2d":
        return losses.Matryoshka2dLoss(
            needs.model, inner, list(needs.dims), weights, n_dims_per_step=-1
        )
    return losses.MatryoshkaLoss(needs.model, inner, list(needs.dims), weights)


def is_cached(
    loss: Loss, settings: TrainSettings, negatives: int = 0, passes: Passes = ON_A_CPU
) -> bool:
    """Whether gradients are cached: for batches too large at once; for GIST with several negatives.

    (sentence-transformers' plain GIST takes one negative at most. In 2D nothing is cached: a
    layer's embeddings are gone when the cached gradients come.)
    """
    if not loss.cached or settings.matryoshka == "2d":
        return False
    return settings.batch_size > passes.whole or (loss.name == "gist" and negatives > 1)


def _check(loss: Loss, needs: Needs, settings: TrainSettings, *, cached: bool) -> None:
    if loss.name == "gist" and needs.negatives > 1 and not cached:
        raise ConfigError(
            f'train.matryoshka = "2d" takes the loss gist with one negative per row at most; the '
            f'data has {needs.negatives}. Use "1d", or another loss.'
        )
    if settings.matryoshka == "2d" and is_text_image(needs.model):
        raise ConfigError(
            'train.matryoshka = "2d" lowers the loss of earlier layers, and a text-image model has '
            'two towers of them. Use "1d".'
        )
    odd = [dim for dim in needs.dims if dim % 2] if loss.name == "angle" else []
    if odd and settings.matryoshka != "off":
        raise ConfigError(
            f"The loss angle halves a vector into real and imaginary parts, so every dimension "
            f"must be even; train.matryoshka_dims has {', '.join(map(str, odd))}."
        )


def _mnrl(needs: Needs, settings: TrainSettings, cached: bool, **more: Any) -> Any:
    losses = sentence_transformers_part("losses")
    if not cached:
        return losses.MultipleNegativesRankingLoss(
            needs.model, scale=1 / settings.temperature, **more
        )
    return losses.CachedMultipleNegativesRankingLoss(
        needs.model, scale=1 / settings.temperature, mini_batch_size=needs.passes.rows, **more
    )


def _symmetric(needs: Needs, settings: TrainSettings, cached: bool) -> Any:
    """MNRL in two directions; a class of its own in older releases."""
    losses = sentence_transformers_part("losses")
    if "directions" in inspect.signature(losses.MultipleNegativesRankingLoss).parameters:
        both = ("query_to_doc", "doc_to_query")
        return _mnrl(needs, settings, cached, directions=both, partition_mode="per_direction")
    scale = 1 / settings.temperature
    if not cached:
        return losses.MultipleNegativesSymmetricRankingLoss(needs.model, scale=scale)
    return losses.CachedMultipleNegativesSymmetricRankingLoss(
        needs.model, scale=scale, mini_batch_size=needs.passes.rows
    )


def _gist(needs: Needs, settings: TrainSettings, cached: bool) -> Any:
    losses = sentence_transformers_part("losses")
    if needs.guide is None:
        raise ConfigError("The loss gist wants a guide model; name one in train.guide.")
    guide, temperature = needs.guide(), settings.temperature
    if not cached:
        return losses.GISTEmbedLoss(needs.model, guide, temperature=temperature)
    return losses.CachedGISTEmbedLoss(
        needs.model, guide, temperature=temperature, mini_batch_size=needs.passes.rows
    )


def _triplet(needs: Needs, settings: TrainSettings, _: bool) -> Any:
    losses = sentence_transformers_part("losses")
    return losses.TripletLoss(
        needs.model,
        distance_metric=losses.TripletDistanceMetric.COSINE,
        triplet_margin=TRIPLET_MARGIN if settings.margin is None else settings.margin,
    )


def _class_triplet(needs: Needs, settings: TrainSettings, _: bool) -> Any:
    losses = sentence_transformers_part("losses")
    return losses.BatchHardTripletLoss(
        needs.model,
        distance_metric=losses.BatchHardTripletLossDistanceFunction.cosine_distance,
        margin=TRIPLET_MARGIN if settings.margin is None else settings.margin,
    )


def _contrastive(needs: Needs, settings: TrainSettings, _: bool) -> Any:
    losses = sentence_transformers_part("losses")
    margin = CONTRASTIVE_MARGIN if settings.margin is None else settings.margin
    return losses.ContrastiveLoss(needs.model, margin=margin)


def _margin_mse(needs: Needs, _: TrainSettings, __: bool) -> Any:
    """In cosine: the teacher's scores come scaled to it, see `teacher_scores`."""
    losses = sentence_transformers_part("losses")
    similarity = load("sentence_transformers.util").pairwise_cos_sim
    return losses.MarginMSELoss(needs.model, similarity_fct=similarity)


def _kl(needs: Needs, settings: TrainSettings, _: bool) -> Any:
    """In logits (cosine / temperature), so that the loss is not scaled down by temperature²."""
    losses = sentence_transformers_part("losses")
    cosine = load("sentence_transformers.util").pairwise_cos_sim

    def logits(queries: Any, documents: Any) -> Any:
        return cosine(queries, documents) / settings.temperature

    return losses.DistillKLDivLoss(needs.model, similarity_fct=logits, temperature=1.0)


def _ordering(needs: Needs, settings: TrainSettings, _: bool, *, name: str) -> Any:
    losses = sentence_transformers_part("losses")
    return getattr(losses, name)(needs.model, scale=1 / settings.temperature)


def _softmax(needs: Needs, _: TrainSettings, __: bool) -> Any:
    losses = sentence_transformers_part("losses")
    return losses.SoftmaxLoss(needs.model, needs.dims[0], needs.classes)


_MAKERS: dict[str, Callable[[Needs, TrainSettings, bool], Any]] = {
    "mnrl": _mnrl,
    "symmetric": _symmetric,
    "gist": _gist,
    "triplet": _triplet,
    "margin-mse": _margin_mse,
    "kl": _kl,
    "cosent": partial(_ordering, name="CoSENTLoss"),
    "angle": partial(_ordering, name="AnglELoss"),
    "softmax": _softmax,
    "contrastive": _contrastive,
    "class-triplet": _class_triplet,
}
