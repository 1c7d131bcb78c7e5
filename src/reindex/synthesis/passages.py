"""Which documents queries are made for: a sample that is the same for the same seed.

Documents are chosen by a hash of seed and id (bottom-k sampling), in one pass and whatever their
order. So a larger sample holds the smaller one, and what was paid for that is not paid again.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, TypeVar

from reindex.config.synthesis import SynthesisSettings
from reindex.corpus.excerpts import TextOf, excerpt
from reindex.errors import DataError
from reindex.records import Document, image_path
from reindex.synthesis.near import NearTexts
from reindex.synthesis.records import Passage, Tally
from reindex.synthesis.texts import first_words, word_count

SPARE = 2
"""Of the passages wanted, so many times are held, for near-duplicates among them."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Passages:
    """The passages in the order of their hashes, and what became of the other documents."""

    chosen: tuple[Passage, ...]
    read: int
    dropped: Mapping[str, int]


class Lowest:
    """Holds the items of the lowest hashes of a stream; all of them where ``size`` is None."""

    def __init__(self, size: int | None, seed: int) -> None:
        self._size, self._seed = size, seed
        self._heap: list[tuple[int, int, Any]] = []
        self._count = 0

    def offer(self, id: int | str, make: Callable[[], Any]) -> None:
        """Take the item in, if its hash is low enough; only then it is made."""
        key = -_hash(self._seed, id)  # a heap's first item is its lowest: the highest hash
        if self._size is not None and len(self._heap) >= self._size:
            if key > self._heap[0][0]:
                heapq.heapreplace(self._heap, (key, self._next(), make()))
            return
        heapq.heappush(self._heap, (key, self._next(), make()))

    def items(self) -> list[Any]:
        """By ascending hash."""
        return [item for _, _, item in sorted(self._heap, key=lambda held: (-held[0], held[1]))]

    def _next(self) -> int:
        self._count += 1
        return self._count


def _hash(seed: int, id: int | str) -> int:
    digest = hashlib.blake2b(f"{seed}\n{id}".encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def choose(
    documents: Iterable[Document],
    settings: SynthesisSettings,
    limit: int | None,
    *,
    text_of: TextOf,
    left_out: frozenset[str] = frozenset(),
) -> Passages:
    """At most ``limit`` documents that are long enough and no near-duplicates of each other.

    With ``synthesis.stratify`` each value of that payload field has its turn.

    Raises:
        DataError: none is left.
    """
    tally, strata = Tally(), dict[str, Lowest]()
    for document in documents:
        tally.total += 1
        if reason := _unfit(document, settings, left_out):
            tally.drop(reason)
            continue
        stratum = _field(document.payload, settings.stratify)
        if stratum not in strata:
            strata[stratum] = Lowest(None if limit is None else limit * SPARE, settings.seed)
        strata[stratum].offer(document.id, lambda: _passage(document, settings, text_of))  # noqa: B023
    chosen = _distinct(_in_turns([item.items() for item in strata.values()]), limit, tally)
    if not chosen:
        raise DataError(_nothing(tally, settings))
    return Passages(tuple(chosen), tally.total, tally.dropped)


def _unfit(document: Document, settings: SynthesisSettings, left_out: frozenset[str]) -> str:
    if str(document.id) in left_out:
        return "judged"
    if image_path(document.text):
        return "images"
    return "too short" if word_count(document.text) < settings.min_words else ""


def _passage(document: Document, settings: SynthesisSettings, text_of: TextOf) -> Passage:
    title = excerpt(document.payload, text_of, 1).title if document.payload else ""
    shown = first_words(document.text, settings.max_words)
    return Passage(str(document.id), document.text, shown, title)


def _field(payload: Mapping[str, Any], name: str) -> str:
    """A payload's value at a dotted name, as text; "" where there is none."""
    value: Any = payload if name else ""
    for part in name.split(".") if name else ():
        value = value.get(part) if isinstance(value, Mapping) else None
    return "" if value is None else str(value)


def _in_turns(strata: Sequence[Sequence[T]]) -> Iterator[T]:
    rounds = zip_longest(*strata)
    return (item for item in chain.from_iterable(rounds) if item is not None)


def _distinct(passages: Iterable[Passage], limit: int | None, tally: Tally) -> list[Passage]:
    seen, chosen = NearTexts(), list[Passage]()
    for passage in passages:
        if limit is not None and len(chosen) >= limit:
            break
        if seen.add(passage.text):
            chosen.append(passage)
        else:
            tally.drop("near-duplicates")
    return chosen


def _nothing(tally: Tally, settings: SynthesisSettings) -> str:
    why = ", ".join(f"{count:,} {reason}" for reason, count in tally.dropped.items())
    return (
        f"There is no passage to make queries for: {tally.total:,} documents were read"
        + (f" ({why})" if why else "")
        + f". Passages need {settings.min_words} words (synthesis.min_words)."
    )
