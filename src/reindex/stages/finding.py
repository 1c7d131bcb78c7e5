"""What a plan says of a build to come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that would stop the build (``error``) or deserves a look (``warning``)."""

    severity: Literal["error", "warning"]
    what: str
    remedy: str
