"""Build: make a collection equal to its source (`converge`), and what a run did (`BuildReport`)."""

from reindex.build.convergence import converge
from reindex.build.plan import Guard
from reindex.build.report import BuildReport

__all__ = ["BuildReport", "Guard", "converge"]
