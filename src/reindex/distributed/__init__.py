"""Building past one machine: slices of the source read, and texts embedded, on a Ray cluster.

The rest of a build is `build.converge` in the driver, as ever: one run looks up, decides, writes
and sweeps, so everything that it promises holds unchanged. Only this room imports ray, and only
once it is asked to.
"""

from reindex.distributed.cluster import Cluster, joined
from reindex.distributed.slicing import Reading

__all__ = ["Cluster", "Reading", "joined"]
