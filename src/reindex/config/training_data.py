"""``[[train.data]]``: what a version is trained on, a table per file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from reindex.config.section import Section
from reindex.config.training_losses import LossName

DataKind = Literal["pairs", "triplets", "scored", "nli", "labelled", "classes"]
"""What a file of training data holds, and what its rows are read as."""


class DataSettings(Section):
    """One file of training data."""

    path: Path = Field(
        description="JSONL, CSV, TSV or Parquet, as seen from the config file's folder."
    )
    kind: DataKind | None = Field(
        None, description="What its rows are. Unset: told by the columns and their values."
    )
    columns: Mapping[str, str] = Field(
        {}, description='Role -> column, where names are not recognised: { anchor = "title" }.'
    )
    loss: LossName | None = Field(None, description="Its loss. Unset: train.loss.")
    weight: Annotated[float, Field(gt=0)] = Field(
        1.0, description="How often an epoch goes through it: 1: once, 0.5: through half of it."
    )
