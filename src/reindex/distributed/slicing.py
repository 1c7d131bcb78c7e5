"""Which sources are read in slices on the cluster, and which in the driver."""

from __future__ import annotations

from reindex.corpus.collection import CollectionSource
from reindex.corpus.sources import FileSource
from reindex.corpus.sql import SqlSource
from reindex.distributed.collection import SlicedCollection
from reindex.distributed.source import SlicedFiles, SlicedTable
from reindex.protocols import DocumentSource

SLICES_PER_WORKER = 2
"""Of a collection: enough to keep documents coming, few enough for the server, which looks at
every id once for each slice."""
IN_DRIVER = "the driver"


class Reading:
    """Divides sources among ``workers``, and remembers how each was read.

    Files are divided by bytes or row groups, tables by ids, a server's collection by the server's
    slices. A collection that only one process may open is read by that one, the driver.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._sliced: list[SlicedFiles | SlicedTable | SlicedCollection] = []
        self._whole: list[DocumentSource] = []

    def __call__(self, source: DocumentSource) -> DocumentSource:
        """The source as the cluster reads it."""
        sliced = self._divided(source)
        if sliced is None:
            self._whole.append(source)
            return source
        self._sliced.append(sliced)
        return sliced

    def how(self) -> dict[str, str]:
        """Source -> by how many slices, or by whom, it was read."""
        whole = {source.name: IN_DRIVER for source in self._whole}
        return whole | {source.name: source.reading for source in self._sliced}

    def _divided(
        self, source: DocumentSource
    ) -> SlicedFiles | SlicedTable | SlicedCollection | None:
        if isinstance(source, FileSource):
            return SlicedFiles(source)
        if isinstance(source, SqlSource):
            return SlicedTable(source)
        if isinstance(source, CollectionSource) and (opener := source.elsewhere()):
            return SlicedCollection(source, opener, SLICES_PER_WORKER * self._workers)
        return None
