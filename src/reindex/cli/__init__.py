"""The command line: thin commands over `reindex.project.Project`."""

# isort: off
from reindex.cli.app import main

# importing these adds their commands to the group, in the order of the work
from reindex.cli import setup, takeover, data, mining, advise, model, plan, collection, judge, tune
from reindex.cli import keep, judging, report, live, rollout, watching, look, operate, owner
# isort: on

__all__ = [
    "advise", "collection", "data", "judge", "judging", "keep", "live", "look", "main", "mining",
    "model", "operate", "owner", "plan", "report", "rollout", "setup", "takeover", "tune",
    "watching",
]  # fmt: skip
