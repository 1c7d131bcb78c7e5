"""What requests have in common."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, ConfigDict

Number = Annotated[int, Path(ge=0, lt=2**63)]
"""A job's or a comparison's, in a path: as the registry can have it."""


class Body(BaseModel):
    """A request's body. A field that is not known is refused: a mistyped ``where`` or ``dry_run``
    that is skipped would show, or do, what was not to be.
    """

    model_config = ConfigDict(extra="forbid")
