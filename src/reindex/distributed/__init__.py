"""Building past one machine: a source read in slices, documents embedded and written, on Ray.

`build.converge` runs in the driver, as ever: it reads what the workers parse, knows the ids that
it has met, and sweeps. Where the store is a server's, workers do the rest with the stages of the
same converge (`build.hand`); else they embed, and the driver writes. Only this room imports ray,
and only once it is asked to.
"""

from reindex.distributed.cluster import Cluster, joined
from reindex.distributed.hands import hands
from reindex.distributed.slicing import Reading

__all__ = ["Cluster", "Reading", "hands", "joined"]
