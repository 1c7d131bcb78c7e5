"""A teacher's scores of queries with documents: computed once, kept on disk by content."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reindex.errors import ModelError
from reindex.protocols import Progress, no_progress
from reindex.records import TrainingExample
from reindex.training.architecture import is_cross_encoder
from reindex.training.base import load_base, resolve_base
from reindex.training.hub import without_hub
from reindex.training.libraries import load, quiet
from reindex.training.lineage import weights_hash

BATCH = 32
KEEP_EVERY = 16 * BATCH
"""Scores that a killed training has to compute again at most."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS scores (
    teacher BLOB NOT NULL, pair BLOB NOT NULL, score REAL NOT NULL, PRIMARY KEY (teacher, pair)
) WITHOUT ROWID
"""

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Teacher:
    """A cross-encoder, or a larger bi-encoder, that scores queries with documents.

    ``digest`` is over its weights, prompts and length of texts: other ones, other scores.
    """

    model: Any
    cross: bool
    digest: str

    def score(self, pairs: Sequence[Pair]) -> list[float]:
        """Logits of a cross-encoder, cosines of a bi-encoder; ``(n,)``."""
        with quiet():
            if self.cross:
                torch = load("torch")
                found = self.model.predict(
                    [list(pair) for pair in pairs], batch_size=BATCH,
                    activation_fn=torch.nn.Identity(), show_progress_bar=False,
                )  # fmt: skip
                return [float(score) for score in found]
            queries, documents = (list(side) for side in zip(*pairs, strict=True))
            options = {"normalize_embeddings": True, "show_progress_bar": False}
            first = self.model.encode_query(queries, batch_size=BATCH, **options)
            second = self.model.encode_document(documents, batch_size=BATCH, **options)
            return [float(score) for score in (first * second).sum(axis=1)]


def load_teacher(spec: str) -> Teacher:
    """Load what ``train.teacher`` names: a folder, a Hub id, or package:NAME.

    Whether it is a cross-encoder its own files say, see `is_cross_encoder`.

    Raises:
        ModelError: it cannot be had, or is a cross-encoder of several labels.
        MissingExtra: the [train] extra is not installed.
    """
    place = resolve_base(spec)
    local = without_hub(place)
    if not is_cross_encoder(place, local):
        model = load_base(spec, max_length=None, longest=None, prompts=None)
        return Teacher(model, False, _digest(model, model.max_seq_length, model.prompts))
    library = load("torch", "transformers", "sentence_transformers")
    try:
        with quiet():
            model = library.CrossEncoder(place, trust_remote_code=False, local_files_only=local)
    except Exception as error:  # whatever the hub, transformers or tokenizers raise
        raise ModelError(
            f"The teacher {spec!r} cannot be loaded ({type(error).__name__}: {error})."
        ) from error
    if model.config.num_labels != 1:
        raise ModelError(
            f"The teacher {spec!r} gives {model.config.num_labels} figures per pair; expected a "
            "cross-encoder that gives one, its relevance."
        )
    return Teacher(model, True, _digest(model.model, model.tokenizer.model_max_length))


def _digest(model: Any, *how: Any) -> str:
    """Of the weights and of ``how`` texts go in."""
    return hashlib.sha256(f"{weights_hash(model)} {how}".encode()).hexdigest()


def teach(
    teacher: Teacher,
    rows: Sequence[TrainingExample],
    cache: Path,
    *,
    progress: Progress = no_progress,
) -> list[TrainingExample]:
    """The rows with the teacher's scores of the positive and of each negative.

    Scores are looked up in, and added to, the file ``cache``; a run that was killed goes on with
    what is there. Rows that bring scores of their own keep them.
    """
    wanted = list(
        dict.fromkeys(
            (row.anchor, text)
            for row in rows
            if not row.scores
            for text in (row.positive, *row.negatives)
        )
    )
    with _opened(cache) as database:
        known = _scores(teacher, wanted, database, progress)
    return [
        row
        if row.scores
        else replace(
            row, scores=tuple(known[row.anchor, text] for text in (row.positive, *row.negatives))
        )
        for row in rows
    ]


@contextmanager
def _opened(cache: Path) -> Iterator[sqlite3.Connection]:
    cache.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(cache, timeout=60)) as database:
        database.execute(_SCHEMA)
        yield database


def _scores(
    teacher: Teacher, pairs: Sequence[Pair], database: sqlite3.Connection, progress: Progress
) -> dict[Pair, float]:
    known: dict[Pair, float] = {}
    for pair in pairs:
        row = database.execute(
            "SELECT score FROM scores WHERE teacher = ? AND pair = ?", _key(teacher, pair)
        ).fetchone()
        if row is not None:
            known[pair] = row[0]
    missing = sorted((pair for pair in pairs if pair not in known), key=lambda pair: len(pair[1]))
    for start in range(0, len(missing), KEEP_EVERY):
        progress("teach", start, len(missing))
        part = missing[start : start + KEEP_EVERY]
        found = dict(zip(part, teacher.score(part), strict=True))
        known |= found
        with database:
            database.executemany(
                "INSERT OR REPLACE INTO scores VALUES (?, ?, ?)",
                [(*_key(teacher, pair), score) for pair, score in found.items()],
            )
    if missing:
        progress("teach", len(missing), len(missing))
    return known


def _key(teacher: Teacher, pair: Pair) -> tuple[bytes, bytes]:
    content = "\0".join(pair).encode("utf-8", "surrogatepass")
    return bytes.fromhex(teacher.digest)[:16], hashlib.sha256(content).digest()[:16]
