"""What [train] says of losses, adapters and averaging."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from reindex.config.section import Section, Share
from reindex.losses import known_loss

LossName = Annotated[str, AfterValidator(known_loss)]
"""One of `reindex.losses.LOSSES`."""


class LoraSettings(Section):
    """LoRA: low-rank adapters are trained beside frozen weights, and merged at the end."""

    rank: Annotated[int, Field(ge=0)] = Field(
        0, description="Rank of the adapters; 8 to 64 are usual. 0: no LoRA, all weights train."
    )
    alpha: Annotated[float, Field(gt=0)] | None = Field(
        None, description="The adapters count alpha / rank times. Unset: twice the rank."
    )
    dropout: Share = Field(0.0, description="Dropout on what goes into the adapters.")
    targets: tuple[str, ...] = Field(
        (), description='Names that layers with adapters end in: ["query", "value"]. Empty: all '
        "linear layers.",
    )  # fmt: skip
    quantize: bool = Field(
        False, description="QLoRA: the frozen weights in 4 bits (extra [qlora])."
    )

    @model_validator(mode="after")
    def _quantizes_beside_adapters(self) -> LoraSettings:
        if self.quantize and not self.rank:
            raise ValueError("quantize = true goes with adapters: set rank, for example 16")
        return self


class AveragingSettings(Section):
    """The trained weights averaged with the base's, against forgetting."""

    base_weight: Annotated[float, Field(ge=0, lt=1)] | Literal["auto"] = Field(
        0.0, description="The base's share. 0: none; auto: the best on dev that keeps the general "
        "sets.",
    )  # fmt: skip
    general: tuple[str, ...] = Field(
        (), description="What measures forgetting: BEIR folders, files of scored or "
        "labelled pairs, classes or triplets, or docstrings (of the Python libraries here).",
    )  # fmt: skip
    max_drop: Share = Field(
        0.02, description="auto: most that a general set's figure may fall, as a share of it."
    )
