"""``[train.negatives]``: where a query's negatives come from, and which of them are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from reindex.config.section import OrNone, Positive, Section

Origin = Literal["bm25", "dense", "random"]
ORIGINS: tuple[Origin, ...] = get_args(Origin)
MOST = 64
"""Negatives of a row."""
NAMED: dict[str, tuple[Origin, ...]] = {"none": (), "mixed": ("dense", "bm25")}
"""Names for several sources, or none."""


class NegativeSettings(Section):
    """Mined negatives, beside the other rows of a batch."""

    sources: tuple[Origin, ...] = Field(
        (),
        description="Where negatives come from, taken in turn: bm25 (bm25s), dense (the nearest by "
        'a model), random; or "mixed" (dense and bm25). Empty, or "none": the other rows of a '
        "batch are the only negatives.",
    )
    number: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Negatives per pair, the same for every one; each costs a document's step."
    )
    model: str | None = Field(
        None,
        description="What finds dense negatives and judges all of them: a version (its int8 "
        "artifact, or its collection), a folder, a Hub id or package:NAME. Unset: train.base.",
    )
    cross_encoder: str | None = Field(
        None, description="A cross-encoder (folder or Hub id) that judges in the model's place."
    )
    depth: Positive = Field(50, description="Candidates per query and source.")
    skip: Annotated[int, Field(ge=0)] = Field(
        0, description="Leave out so many of the first candidates of every source."
    )
    relative_margin: Annotated[Annotated[float, Field(ge=0, lt=1)] | None, OrNone] = Field(
        0.05,
        description="A negative scores lower than the positive by this share of the positive's "
        'score at least; "none": no such margin.',
    )
    absolute_margin: float | None = Field(
        None, description="A negative scores lower than the positive by this much at least."
    )
    max_score: float | None = Field(None, description="A negative scores this at most.")
    min_score: float | None = Field(None, description="A negative scores this at least.")
    sampling: Literal["top", "random"] = Field(
        "top", description="Of the candidates that are left, the hardest, or random ones."
    )
    when_short: Literal["random", "leave-out"] = Field(
        "random",
        description="A pair with too few negatives is filled with random documents, or left out.",
    )

    phases: Annotated[int, Field(ge=1, le=16)] = Field(
        1,
        description="A curriculum: the training is cut into so many phases, and every pair has "
        "`number` negatives for each, the easiest in the first and the hardest in the last.",
    )
    rounds: Annotated[int, Field(ge=1, le=20)] = Field(
        1,
        description="Mine and train so often: each round mines with the model that the last one "
        "trained, and trains that one on, `train.epochs` passes each.",
    )
    search: Literal["vectors", "collection"] = Field(
        "vectors",
        description="How dense negatives are found: every document's vector against every query, "
        "or by searching the collection that the model's version has.",
    )
    cache_mb: Positive = Field(
        1024, description="Most MB that kept minings may take on disk; the oldest go first."
    )

    @field_validator("sources", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return NAMED.get(value, tuple(part.strip() for part in value.split(",")))

    @model_validator(mode="after")
    def _few_enough(self) -> NegativeSettings:
        if self.number * self.phases > MOST:
            raise ValueError(f"number × phases is {self.number * self.phases}, more than {MOST}")
        return self

    @field_validator("sources")
    @classmethod
    def _once(cls, value: tuple[Origin, ...]) -> tuple[Origin, ...]:
        return tuple(dict.fromkeys(value))

    def deciding(self) -> dict[str, Any]:
        """What of these settings decides a training's result, as JSON types; default: nothing."""
        if self.sources:
            return self.model_dump(mode="json", exclude={"cache_mb"}, exclude_defaults=True)
        return {"phases": self.phases} if self.phases > 1 else {}

    @property
    def judges(self) -> bool:
        """Whether candidates are scored beside the positive."""
        bounds = (self.relative_margin, self.absolute_margin, self.max_score, self.min_score)
        return self.cross_encoder is not None or any(bound is not None for bound in bounds)
