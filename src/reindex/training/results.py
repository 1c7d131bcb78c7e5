"""What a training gave."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training gave.

    ``checkpoint`` is a sentence-transformers folder: the best model by nDCG@10 on dev (without
    judged queries by the first objective that has dev rows), or the last one where nothing is
    measured; ``best_is_base`` says that no checkpoint beat the base, so that the base itself was
    kept. ``history`` has an entry per evaluation (``step``, ``epoch`` and the metrics) and, with
    ``loss``, per logged stretch. ``lineage`` is all that decides the result. ``averaging`` is what
    `Averaged.as_dict` gives, where the model was averaged with its base or general sets measured.
    ``speed`` is what `Speed.figures` gives of the steps of the last call. ``rotation`` is what
    `Rotated.as_dict` gives, where the vectors were to be turned.
    """

    checkpoint: Path
    dim: int
    matryoshka_dims: tuple[int, ...]
    max_length: int
    examples: int
    steps: int
    seconds: float
    metrics_before: Mapping[str, float]
    metrics_after: Mapping[str, float]
    history: tuple[Mapping[str, float], ...]
    lineage: Mapping[str, Any]
    best_is_base: bool
    averaging: Mapping[str, Any] = field(default_factory=dict)
    speed: Mapping[str, float] = field(default_factory=dict)
    rotation: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {**values, "checkpoint": str(self.checkpoint)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], checkpoint: Path) -> TrainResult:
        """Back from JSON; ``checkpoint`` as it lies now."""
        lists = {name: tuple(content[name]) for name in ("matryoshka_dims", "history")}
        return cls(**{**content, **lists, "checkpoint": checkpoint})
