"""What all requests' bodies have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """A request's body. A field that is not known is refused: a mistyped ``where`` or ``dry_run``
    that is skipped would show, or do, what was not to be.
    """

    model_config = ConfigDict(extra="forbid")
