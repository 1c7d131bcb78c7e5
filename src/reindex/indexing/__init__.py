"""Single writes beside builds: journaled, applied to what is live and to every write target."""

from reindex.indexing.indexer import Indexer
from reindex.indexing.writes import Ack, Write

__all__ = ["Ack", "Indexer", "Write"]
