"""The different queries of training examples, and what answers each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reindex.records import TrainingExample, query_hash


@dataclass(frozen=True, slots=True)
class Questions:
    """Queries that differ by more than case and white space.

    Attributes:
        texts: a spelling of each.
        of_row: for each example the number of its query.
        positives: for each query all texts that answer it.
    """

    texts: tuple[str, ...]
    of_row: tuple[int, ...]
    positives: tuple[tuple[str, ...], ...]

    @classmethod
    def of(
        cls, examples: Sequence[TrainingExample], known: Mapping[str, Sequence[str]]
    ) -> Questions:
        """``known``: `query_hash` of a query -> what else answers it."""
        keys = [query_hash(example.anchor) for example in examples]
        numbers = {key: at for at, key in enumerate(dict.fromkeys(keys))}
        spellings = dict(zip(keys, (example.anchor for example in examples), strict=True))
        answers: dict[str, list[str]] = {key: [*known.get(key, ())] for key in numbers}
        for key, example in zip(keys, examples, strict=True):
            answers[key].append(example.positive)
        return cls(
            tuple(spellings[key] for key in numbers),
            tuple(numbers[key] for key in keys),
            tuple(tuple(dict.fromkeys(answers[key])) for key in numbers),
        )
