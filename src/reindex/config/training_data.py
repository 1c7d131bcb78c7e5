"""``[[train.data]]``: what a version is trained on, a table per file; and ``[train.clicks]``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from reindex.config.section import Positive, Section
from reindex.config.training_losses import LossName

DataKind = Literal[
    "pairs", "triplets", "scored", "nli", "labelled", "classes", "graded", "qrels", "interactions",
    "corpus",
]  # fmt: skip
"""What a file of training data holds."""

DATA_KINDS: tuple[DataKind, ...] = get_args(DataKind)


class DataSettings(Section):
    """One file of training data."""

    path: Path = Field(
        description="JSONL, CSV, TSV, Parquet, judgements (qrels), a BEIR folder, or the project's "
        "interactions.db; as seen from the config file's folder."
    )
    kind: DataKind | None = Field(
        None,
        description="What its rows are: pairs, triplets, scored, nli, labelled, classes, graded, "
        "qrels, interactions. Unset: told by the columns and their values.",
    )
    columns: Mapping[str, str] = Field(
        {}, description='Role -> column, where names are not recognised: { anchor = "title" }.'
    )
    loss: LossName | None = Field(None, description="Its loss. Unset: train.loss.")
    weight: Annotated[float, Field(gt=0)] = Field(
        1.0, description="How often an epoch goes through it: 1: once, 0.5: through half of it."
    )
    labels: tuple[str, ...] = Field(
        ("entailment", "neutral", "contradiction"),
        description="nli: what the labels 0, 1 and 2 stand for. The order of SNLI and MNLI on the "
        "Hub; older files begin with contradiction.",
    )
    score_range: tuple[float, float] | None = Field(
        None, description="scored: lowest and highest score possible. Unset: 0 to 1, or 0 to 5."
    )
    min_grade: Positive = Field(
        1, description="graded, qrels: the lowest grade that counts as relevant."
    )
    by_grade: bool = Field(
        False,
        description="graded, qrels: draw pairs as often as their grade says: 3 three times as "
        "often as 1.",
    )
    queries: Path | None = Field(
        None, description="qrels: the queries. Unset: queries.jsonl beside them or of the source."
    )
    documents: Path | None = Field(
        None,
        description="qrels, interactions with ids: the documents (JSONL with _id, title, text). "
        "Unset: corpus.jsonl beside them, or the source.",
    )

    @field_validator("labels")
    @classmethod
    def _each_once(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if sorted(labels) != ["contradiction", "entailment", "neutral"]:
            raise ValueError("expected entailment, neutral and contradiction, in some order")
        return labels

    @field_validator("score_range")
    @classmethod
    def _grows(cls, range: tuple[float, float] | None) -> tuple[float, float] | None:
        if range is not None and not range[0] < range[1]:
            raise ValueError("expected the lowest score, then a higher one")
        return range


class ClickSettings(Section):
    """How logged searches become pairs."""

    position_bias: Annotated[float, Field(ge=0)] = Field(
        1.0,
        description="Rank r is looked at with probability (1 / r) to this power; 0: every rank "
        "alike.",
    )
    min_dwell: Annotated[float, Field(ge=0)] = Field(
        30.0, description="Seconds on a document from which a click counts, where they are logged."
    )
    min_clicks: Positive = Field(
        2, description="Searches in which a document was clicked, before it is a positive."
    )
    max_weight: Annotated[float, Field(ge=1)] = Field(
        5.0, description="A pair is drawn at most this many times as often as the rarest."
    )
    negatives: Annotated[int, Field(ge=0, le=64)] = Field(
        1,
        description="Documents per pair that were passed over for a click further down, as hard "
        "negatives; they too need min_clicks such searches.",
    )
