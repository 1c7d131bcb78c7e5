"""What a model that is no version offers: an encoder, and the facts that decide its vectors."""

from __future__ import annotations

from dataclasses import dataclass

from reindex.protocols import Encoder

LONGEST_DEFAULT = 256
"""Tokens per text where nothing else is asked, as a version made of the model would have."""


@dataclass(frozen=True, slots=True)
class OffTheShelf:
    """A loaded model. Its encoder's space is a hash of its content, so that vectors can be kept.

    ``prompts`` are put before queries and before documents; ``max_length`` is in tokens, None for
    a version, whose encoder knows it.
    """

    name: str
    encoder: Encoder
    prompts: tuple[str, str] = ("", "")
    max_length: int | None = None
