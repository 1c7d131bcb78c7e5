"""The losses that a training can lower: one table, and which of them fits which data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reindex.errors import DataError

Negatives = Literal["none", "optional", "required"]

CACHED_ABOVE = 128
"""Above this batch size gradients are cached (GradCache, Gao et al. 2021), so memory is bounded."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What a loss is, and what it wants.

    Attributes:
        name: as ``train.loss`` and ``--loss`` take it.
        summary: what it lowers, in a sentence.
        kinds: kinds of training data that it takes.
        negatives: whether the rows bring hard negatives.
        teacher: it wants a teacher's score of the positive and of every negative.
        guide: it wants a second model that tells false negatives.
        in_batch: the other rows of a batch are negatives, so no text may be there twice.
        cached: there is a variant that caches gradients, for batches above `CACHED_ABOVE`.
        matryoshka: it can be computed at several dimensions, so MatryoshkaLoss takes it.
        source: the paper.
    """

    name: str
    summary: str
    kinds: tuple[str, ...]
    source: str
    negatives: Negatives = "none"
    teacher: bool = False
    guide: bool = False
    in_batch: bool = False
    cached: bool = False
    matryoshka: bool = True

    def takes(self, kind: str, *, scored: bool) -> bool:
        """Whether it fits a kind of data; ``scored``: with a teacher, or its scores."""
        return kind in self.kinds and (scored or not self.teacher)


RANKING = ("pairs", "triplets", "nli")

LOSSES = {
    loss.name: loss
    for loss in (
        Loss(
            "mnrl", "softmax of the positive among all documents of the batch", RANKING,
            "van den Oord et al. 2018, arXiv:1807.03748; Henderson et al. 2017, arXiv:1705.00652",
            negatives="optional", in_batch=True, cached=True,
        ),
        Loss(
            "symmetric", "mnrl from query to document and from document to query", RANKING,
            "Günther et al. 2023, arXiv:2310.19923",
            negatives="optional", in_batch=True, cached=True,
        ),
        Loss(
            "gist", "mnrl over queries and documents, without what a guide model finds relevant",
            RANKING, "Solatorio 2024, arXiv:2402.16829",
            negatives="optional", guide=True, in_batch=True, cached=True,
        ),
        Loss(
            "triplet", "the positive nearer than a negative by a margin, in cosine distance",
            ("triplets", "nli"), "Schroff et al. 2015, arXiv:1503.03832",
            negatives="required",
        ),
        Loss(
            "margin-mse", "the teacher's difference between positive and negative, squared error",
            ("triplets",), "Hofstätter et al. 2020, arXiv:2010.02666",
            negatives="required", teacher=True,
        ),
        Loss(
            "kl", "the teacher's distribution over positive and negatives, Kullback-Leibler",
            ("triplets",), "Lin et al. 2020, arXiv:2010.11386",
            negatives="required", teacher=True,
        ),
        Loss(
            "cosent", "pairs ranked by similarity as by score, in cosine", ("scored",),
            "Su 2022, kexue.fm/archives/8847",
        ),
        Loss(
            "angle", "pairs ranked as by score, in the angle of complex vectors", ("scored",),
            "Li and Li 2023, arXiv:2309.12871",
        ),
        Loss(
            "softmax", "the class of a pair, from both vectors and their difference",
            ("nli", "labelled"), "Reimers and Gurevych 2019, arXiv:1908.10084",
            matryoshka=False,
        ),
        Loss(
            "contrastive", "pairs of label 1 together, of label 0 a margin apart", ("labelled",),
            "Hadsell et al. 2006",
        ),
        Loss(
            "class-triplet", "the farthest of a text's class nearer than the nearest of another",
            ("classes",), "Hermans et al. 2017, arXiv:1703.07737",
        ),
    )
}  # fmt: skip
"""All losses by name."""

DEFAULTS = {
    "pairs": ("mnrl", "pairs have no negatives of their own: the batch's other documents serve"),
    "triplets": ("mnrl", "it takes hard negatives and the batch's other documents at once"),
    "scored": ("cosent", "scores are an order of pairs, and that is what it learns"),
    "nli": ("mnrl", "entailed texts as positives, contradicted ones as hard negatives"),
    "labelled": ("softmax", "labels are classes of pairs"),
    "classes": ("class-triplet", "texts of a class belong together"),
}
"""Kind of data -> the loss that is taken where none is named, and why."""


def known_loss(name: str) -> str:
    """The name, if there is such a loss; else a ValueError that lists them."""
    if name not in LOSSES:
        raise ValueError(f"expected one of {', '.join(LOSSES)}")
    return name


def fitting(kind: str, *, scored: bool = True) -> list[str]:
    """Names of the losses that take a kind of data."""
    return [loss.name for loss in LOSSES.values() if loss.takes(kind, scored=scored)]


@dataclass(frozen=True, slots=True)
class Choice:
    """A loss for a set of training data, and why this one."""

    loss: Loss
    reason: str


def choose_loss(kind: str, asked: str | None, *, scored: bool = False, name: str = "") -> Choice:
    """The loss that was asked for, or the one for this kind of data.

    Args:
        kind: of the data.
        asked: a loss's name, or None.
        scored: the rows have a teacher's scores, or a teacher is named that gives them.
        name: of the data, for messages.

    Raises:
        DataError: the loss that was asked for does not take this data; names those that do.
    """
    if asked is None:
        default, reason = DEFAULTS[kind]
        if kind == "triplets" and scored:
            default, reason = "kl", "there are a teacher's scores to learn from"
        return Choice(LOSSES[default], f"unset, and the data is {kind}: {reason}")
    loss = LOSSES[known_loss(asked)]
    if loss.takes(kind, scored=scored):
        return Choice(loss, "named")
    data = f"data of kind {kind!r}" + (f" ({name})" if name else "")
    missing = "" if kind not in loss.kinds else " without a teacher's scores or train.teacher"
    raise DataError(
        f"The loss {asked!r} wants {_wants(loss)}, and does not take {data}{missing}. "
        f"Losses that do: {', '.join(fitting(kind, scored=scored))}."
    )


def _wants(loss: Loss) -> str:
    parts = [f"data of kind {' or '.join(loss.kinds)}"]
    if loss.teacher:
        parts.append("a teacher's scores")
    return " with ".join(parts)
