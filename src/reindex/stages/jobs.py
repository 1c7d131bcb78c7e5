"""Imports every stage that the owner process runs for others, so that `owner.jobs` knows it."""

from reindex.stages import (
    building,
    comparing,
    planning,
    promoting,
    retrying,
    searching,
    syncing,
    upkeep,
)

__all__ = [
    "building", "comparing", "planning", "promoting", "retrying", "searching", "syncing", "upkeep",
]  # fmt: skip
