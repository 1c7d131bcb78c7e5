"""Which model made a collection's vectors: embed a sample of its texts again and compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from reindex.corpus.frameworks import StoredText
from reindex.records import StoredPoint, Vector

SAME = 0.99
"""Cosine from which a stored vector counts as this model's: other libraries, runtimes and float16
stay above 0.999, an int8 graph of the same weights around 0.995, other models far below."""

Encode = Callable[[Sequence[str]], Vector]
"""Texts -> ``(n, dim)``, as a model embeds documents."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a sample's stored vectors lie to those that a model gives for the same texts.

    ``cosines`` ascend; ``strangers`` are some point ids whose vector the model did not make.
    """

    model: str
    text: StoredText
    cosines: tuple[float, ...]
    strangers: tuple[int | str, ...] = field(default=())

    @property
    def share(self) -> float:
        """Share of the sample whose cosine is at least `SAME`."""
        return sum(value >= SAME for value in self.cosines) / max(len(self.cosines), 1)

    @property
    def median(self) -> float:
        """Median cosine; 0 for an empty sample."""
        return float(np.median(self.cosines)) if self.cosines else 0.0

    @property
    def lowest(self) -> float:
        """Lowest cosine; 0 for an empty sample."""
        return self.cosines[0] if self.cosines else 0.0

    @property
    def figures(self) -> str:
        """For people."""
        return (
            f"{self.share:.1%} of {len(self.cosines)} points agree (cosine of at least {SAME}); "
            f"median {self.median:.4f}, lowest {self.lowest:.4f}"
        )


def agreement(
    points: Sequence[StoredPoint], text: StoredText, encode: Encode, model: str
) -> Agreement:
    """Embed the points' texts with ``encode`` and compare with their stored vectors.

    Points without a text or a usable vector are left out: other checks find those. Lengths do not
    count (a collection that compares by dot product may hold vectors of any).
    """
    usable = [
        (point.id, unit, found)
        for point in points
        if (unit := _direction(point.vector)) is not None and (found := text(point.payload))
    ]
    if not usable:
        return Agreement(model, text, ())
    stored = np.stack([unit for _, unit, _ in usable])
    made = encode([found for _, _, found in usable])
    if made.shape != stored.shape:
        return Agreement(model, text, (0.0,) * len(usable))
    made = made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)
    cosines = np.einsum("ij,ij->i", stored, made).clip(-1, 1)
    order = np.argsort(cosines, kind="stable")
    strangers = [usable[i][0] for i in order[:3] if cosines[i] < SAME]
    return Agreement(model, text, tuple(float(cosines[i]) for i in order), tuple(strangers))


def best(found: Sequence[Agreement]) -> Agreement:
    """The one with the largest share, then the highest median; of equals the first."""
    return max(found, key=lambda item: (round(item.share, 3), round(item.median, 4)))


def _direction(vector: Vector | None) -> Vector | None:
    if vector is None or not np.isfinite(vector).all():
        return None
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length > 0 else None
