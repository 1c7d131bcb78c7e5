"""How long training texts are, in the base model's own tokens where its tokenizer is at hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reindex.corpus.training_sets import TrainingSet
from reindex.records import LabelledText, TrainingExample, image_path

Counter = Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of the texts in one column, in ``unit``; ``over`` of them are cut at ``limit``."""

    column: str
    unit: str
    texts: int
    mean: float
    median: int
    p95: int
    longest: int
    limit: int | None
    over: int


@dataclass(frozen=True, slots=True)
class Ruler:
    """What counts a text's tokens; words where no tokenizer is at hand."""

    count: Counter
    unit: str = "words"
    limit: int | None = None


def words_ruler() -> Ruler:
    """Counts words, and knows no limit."""
    return Ruler(lambda texts: [len(text.split()) for text in texts])


def token_ruler(folder: Path, max_length: int | None, longest: int) -> Ruler | None:
    """Counts tokens as the model in ``folder`` does, special ones included; None: it cannot.

    ``max_length`` is what is asked for; else the model's own limit counts, ``longest`` at most.
    """
    file = next((item for item in (folder / "tokenizer.json",) if item.is_file()), None)
    if file is None:
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(texts: Sequence[str]) -> list[int]:
        return [len(item.ids) for item in tokenizer.encode_batch_fast(list(texts))]

    return Ruler(count, "tokens", max_length or min(longest, _own_limit(folder) or longest))


def _own_limit(folder: Path) -> int | None:
    for name, key in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("config.json", "max_position_embeddings"),
    ):
        try:
            value = json.loads((folder / name).read_text("utf-8")).get(key)
        except (OSError, ValueError):
            continue
        if isinstance(value, int):
            return value
    return None


def columns_of(data: TrainingSet) -> dict[str, list[str]]:
    """The different texts of each column of a set, images left out."""
    found: dict[str, dict[str, None]] = {}
    for row in data.rows:
        if isinstance(row, TrainingExample):
            cells: Iterable[tuple[str, str]] = [
                ("query", row.anchor),
                ("positive", row.positive),
                *(("negative", text) for text in row.negatives),
            ]
        elif isinstance(row, LabelledText):
            cells = [("text", row.text)]
        else:
            cells = [("first", row.first), ("second", row.second)]
        for column, text in cells:
            if not image_path(text):
                found.setdefault(column, {})[text] = None
    return {column: list(texts) for column, texts in found.items()}


def lengths_of(data: TrainingSet, ruler: Ruler) -> tuple[Lengths, ...]:
    """A line of figures per column."""
    return tuple(_measure(column, texts, ruler) for column, texts in columns_of(data).items())


def _measure(column: str, texts: Sequence[str], ruler: Ruler) -> Lengths:
    counts = np.array(ruler.count(texts))
    over = 0 if ruler.limit is None else int((counts > ruler.limit).sum())
    return Lengths(
        column, ruler.unit, len(texts), round(float(counts.mean()), 1), int(np.median(counts)),
        int(np.percentile(counts, 95)), int(counts.max()), ruler.limit, over,
    )  # fmt: skip
