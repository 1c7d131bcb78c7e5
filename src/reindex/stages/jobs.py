"""Imports every stage that the owner process runs for others, so that `owner.jobs` knows it."""

from reindex.stages import (
    baselines,
    building,
    comparing,
    examining,
    fetching,
    judging,
    planning,
    promoting,
    retrying,
    rolling_out,
    searching,
    syncing,
    tuning,
    upkeep,
    writing,
)

__all__ = [
    "baselines", "building", "comparing", "examining", "fetching", "judging", "planning",
    "promoting", "retrying", "rolling_out", "searching", "syncing", "tuning", "upkeep", "writing",
]  # fmt: skip
