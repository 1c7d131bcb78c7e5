"""A curriculum: rows whose negatives grow harder while a model is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from reindex.errors import DataError
from reindex.records import TrainingExample
from reindex.training.batching import Keys, NoDuplicateBatches


def in_phases(examples: Sequence[TrainingExample], phases: int) -> list[TrainingExample]:
    """All rows with the negatives of the first phase, then all with those of the second, …

    Row ``phase * len(examples) + i`` is example i. A row's negatives are cut into ``phases`` parts
    of equal size.

    Raises:
        DataError: they cannot be.
    """
    if phases == 1:
        return list(examples)
    counts = ((row, len(row.negatives)) for row in examples)
    wrong = next((row for row, count in counts if not count or count % phases), None)
    if wrong is not None:
        raise DataError(
            f"Expected negatives for each of {phases} phases in every training row, got "
            f"{len(wrong.negatives)} for {wrong.anchor!r}. Set train.negatives.sources, mine them "
            f"with phases = {phases} (reindex data mine), or set train.negatives.phases = 1."
        )
    return [_part(row, phase, phases) for phase in range(phases) for row in examples]


def _part(row: TrainingExample, phase: int, phases: int) -> TrainingExample:
    size = len(row.negatives) // phases
    own = slice(phase * size, (phase + 1) * size)
    scores = (row.scores[0], *row.scores[1:][own]) if row.scores else ()
    return dataclasses.replace(row, negatives=row.negatives[own], scores=scores)


class PhasedBatches(NoDuplicateBatches):
    """Batches of rows as `in_phases` lays them out: every example once an epoch.

    Which phase a batch's rows come from depends on how far the training is: seed, epoch and the
    batch's place alone decide, so a resumed training sees the same ones.

    Args:
        keys: of all rows.
        epochs: of the whole training.
    """

    def __init__(
        self, keys: Sequence[Keys], batch_size: int, seed: int, *,
        phases: int, epochs: float, processes: int = 1,
    ) -> None:  # fmt: skip
        self._phases, self._epochs = phases, epochs
        self._rows = len(keys) // phases
        super().__init__(keys, batch_size, seed, processes=processes)

    def _shuffled(self, epoch: int) -> list[int]:
        return [row for row in super()._shuffled(epoch) if row < self._rows]

    def _row(self, row: int, epoch: int, place: int) -> int:
        """``row`` in the phase of the epoch's batch number ``place``."""
        batches = max(1, self._rows // self.batch_size)
        done = (epoch + min(place / batches, 1.0)) / self._epochs
        return row + self._rows * min(int(done * self._phases), self._phases - 1)
