"""A look at the source before anything is paid for: how much there is, and of what kind."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from reindex.protocols import DocumentSource
from reindex.records import Document

TEXTS_KEPT = 200_000
"""Documents at most whose texts are compared with each other."""


class CountedLetters:
    """A dead-letter sink that counts."""

    def __init__(self) -> None:
        self.count = 0
        self.first = ""
        self.ids: frozenset[int | str] = frozenset()

    def add(
        self,
        *,
        file: str,
        line: int,
        reason: str,
        row: str = "",  # noqa: ARG002
        id: int | str | None = None,  # noqa: ARG002
    ) -> None:
        """Count the row, keep the first reason."""
        self.count += 1
        self.first = self.first or f"{file}:{line}: {reason}"

    def ok(self, rows: int = 1) -> None:
        """Nothing to count: the sample does."""


@dataclass(slots=True)
class Sample:
    """What a pass over the source saw.

    Attributes:
        documents: read; all of them where ``complete``.
        listed: what the source itself says, where it can.
        bad: rows that make no document; ``first_bad`` is the first of them.
        repeated: share of the first `TEXTS_KEPT` documents whose text came before.
        chosen: a uniform sample of those read.
    """

    documents: int = 0
    listed: int | None = None
    complete: bool = True
    seconds: float = 0.0
    bad: int = 0
    first_bad: str = ""
    repeated: float = 0.0
    chosen: list[Document] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Documents in the source, as far as it is known."""
        if self.complete or self.listed is None:
            return self.documents
        return max(self.documents, self.listed - round(self.listed * self.bad_share))

    @property
    def bad_share(self) -> float:
        """Share of bad rows."""
        return self.bad / max(1, self.bad + self.documents)

    @property
    def rate(self) -> float:
        """Documents that were read per second."""
        return self.documents / self.seconds if self.seconds else float("inf")

    @property
    def payload_bytes(self) -> float:
        """Of an average payload as JSON."""
        sizes = [len(json.dumps(item.payload, default=str)) for item in self.chosen]
        return sum(sizes) / max(1, len(sizes))


def take_sample(
    source: DocumentSource,
    *,
    size: int,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Sample:
    """Read the source, at most ``seconds`` long, and choose ``size`` documents (reservoir
    sampling: each one that was read is as likely as any other; Vitter 1985, algorithm R).
    """
    dice, dead, sample = random.Random(13), CountedLetters(), Sample(listed=source.count())  # noqa: S311
    texts: set[int] = set()
    started = clock()
    for document in source.documents(dead):
        if sample.documents < TEXTS_KEPT:
            texts.add(hash(document.text))
        sample.documents += 1
        if len(sample.chosen) < size:
            sample.chosen.append(document)
        elif (place := dice.randrange(sample.documents)) < size:
            sample.chosen[place] = document
        if sample.documents % 256 == 0 and clock() - started > seconds:
            sample.complete = False
            break
    sample.seconds = max(clock() - started, 1e-9)
    sample.bad, sample.first_bad = dead.count, dead.first
    sample.repeated = 1 - len(texts) / max(1, min(sample.documents, TEXTS_KEPT))
    return sample
