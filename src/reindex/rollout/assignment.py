"""Which key is answered by which version: a hash, so that nothing has to be remembered."""

from __future__ import annotations

from hashlib import blake2b

_BITS = 53
"""Of the hash that a float between 0 and 1 can hold."""


def place_of(experiment: str, key: str) -> float:
    """Where a key stands between 0 and 1 in an experiment: uniform, the same every time.

    Keys stand elsewhere in every experiment, so that nobody is always among the first.
    """
    text = f"{len(experiment)}:{experiment}{key}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
    return float(number >> (64 - _BITS)) / 2.0**_BITS


def takes_part(experiment: str, key: str, weight: float) -> bool:
    """Whether a key is on the candidate's side at ``weight`` (0 to 1).

    Who is on it at one weight is on it at every greater one.
    """
    return place_of(experiment, key) < weight
