"""``[trials]``: the recipes that `reindex train --trials` searches."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from reindex.config.section import Positive, Section

Above = Annotated[float, Field(gt=0)]
Dims = tuple[Positive, ...]


class TrialSettings(Section):
    """`reindex train --trials`: which keys of [train] are searched, and where."""

    learning_rate: tuple[Above, ...] = Field(
        (2e-5, 4e-4), description="Lowest and highest; searched by its logarithm. Empty: as it is."
    )
    temperature: tuple[Above, ...] = Field(
        (0.02, 0.1), description="Lowest and highest; searched by its logarithm. Empty: as it is."
    )
    epochs: tuple[Above, ...] = Field(
        (1.0, 2.0, 3.0), description="Numbers to choose from. Empty: as it is."
    )
    batch_size: tuple[Positive, ...] = Field(
        (), description="Numbers to choose from. Empty: as it is."
    )
    negatives: tuple[Annotated[int, Field(ge=0, le=64)], ...] = Field(
        (),
        description="Numbers of mined negatives to choose from (0: none), from "
        "train.negatives.sources. Empty: as it is.",
    )
    matryoshka_dims: tuple[Dims, ...] = Field(
        (), description="Lists of dimensions to choose from. Empty: as it is."
    )
    startup: Positive = Field(
        5, description="Trials drawn at random before the sampler learns from them (TPE)."
    )
    prune: bool = Field(
        True,
        description="Break off a trial whose dev evaluation is below the median of the others' at "
        "the same share of their training.",
    )

    @model_validator(mode="after")
    def _ranges(self) -> TrialSettings:
        for name in ("learning_rate", "temperature"):
            bounds = getattr(self, name)
            if bounds and (len(bounds) != 2 or bounds[0] >= bounds[1]):
                raise ValueError(
                    f"{name}: expected two numbers, the lower first, or none; got {list(bounds)}"
                )
        return self
