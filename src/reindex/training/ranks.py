"""Several processes that train one model, as `accelerate launch` and torchrun start them.

One of them, rank 0, leads: it alone writes (registry, run folder, result); the others compute.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from reindex.errors import ModelError
from reindex.training.libraries import load

T = TypeVar("T")


def processes() -> int:
    """How many train together; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def leads() -> bool:
    """Whether this process is the one that writes."""
    return os.environ.get("RANK", "0") == "0"


def from_leader(make: Callable[[], T]) -> T:
    """What ``make`` returns on rank 0, on every rank; the others wait for it.

    Raises:
        Exception: on rank 0 what ``make`` raises; on the others a ModelError that quotes it.
    """
    if processes() == 1:
        return make()
    load("accelerate").PartialState()  # connects the processes
    told: list[tuple[T | None, str]] = [(None, "")]
    error: Exception | None = None
    if leads():
        try:
            told = [(make(), "")]
        except Exception as raised:
            told, error = [(None, f"{type(raised).__name__}: {raised}")], raised
    load("torch").distributed.broadcast_object_list(told, src=0)
    if error is not None:
        raise error
    value, message = told[0]
    if message:
        raise ModelError(f"The leading process failed: {message}")
    return value  # type: ignore[return-value]
