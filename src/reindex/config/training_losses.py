"""What [train] says of losses."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from reindex.losses import known_loss

LossName = Annotated[str, AfterValidator(known_loss)]
"""One of `reindex.losses.LOSSES`."""
