"""The command line: thin commands over `reindex.project.Project`."""

# isort: off
from reindex.cli.app import main

# importing these adds their commands to the group, in the order of the work
from reindex.cli import (
    setup,
    takeover,
    data,
    mining,
    advise,
    model,
    trials,
    ensemble,
    transport,
    plan,
)
from reindex.cli import collection, compare
from reindex.cli import judge, tune, keep, judging, report, live, rollout, watching, look, operate
from reindex.cli import owner, backup, serve, tools, synthesize
# isort: on

__all__ = [
    "advise",
    "backup",
    "collection",
    "compare",
    "data",
    "ensemble",
    "judge",
    "judging",
    "keep",
    "live",
    "look",
    "main",
    "mining",
    "model",
    "operate",
    "owner",
    "plan",
    "report",
    "rollout",
    "serve",
    "setup",
    "synthesize",
    "takeover",
    "tools",
    "transport",
    "trials",
    "tune",
    "watching",
]  # fmt: skip
