"""What every section of ``reindex.toml`` is made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


def _nothing(value: Any) -> Any:
    return None if value == "none" else value


OrNone = BeforeValidator(_nothing)
"""For a key that has a default and may be nothing: TOML has no null, so that is ``"none"``."""


class Section(BaseModel):
    """A table of the file: unknown keys are refused, values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
