"""What a collection of a given shape will need: disk, memory, time. Formulas, no input or output.

The constants are measured on the embedded engine (docs/operating.md says how) or, for a server,
those of Qdrant's guide to capacity planning.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from reindex.records import Layout

FLOAT_BYTES = 4
STAMP_BYTES = 420
"""The stamp as JSON: six hashes and names. The engine compresses payloads, so this is a bound."""
POINT_BYTES = 30
"""Ids and their index, per point of the embedded engine (measured: 29 to 30)."""
LOG_BYTES = 64 * 2**20
"""The write-ahead log of a collection or shard: two files of 32 MiB."""
GRAPH_FACTOR = 1.5
"""A server's memory over that of the vectors alone (Qdrant's capacity planning)."""
REWRITE_FACTOR = 1.5
"""A server's disk over that of the data: room for segments that are being rewritten. A rule of
thumb, not measured."""
SPILL_BYTES = 50
"""What a build remembers of a document in the temporary folder."""
QUANTIZED = {"none": 4.0, "scalar": 1.0, "binary": 1 / 8}
"""Bytes per dimension of the vector that is searched first."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides how much room a collection takes.

    Attributes:
        points: how many.
        dim, prefix_dim: dimensions of the full vector, and of the one that is searched first
            (None in the ``single`` layout).
        payload_bytes: of an average payload as JSON, without the stamp.
        server: on a Qdrant server rather than embedded.
        copies, shards: of a server's collection.
        quantization: of the vector that is searched first, on a server.
    """

    points: int
    dim: int
    prefix_dim: int | None
    payload_bytes: float
    server: bool = False
    copies: int = 1
    shards: int = 1
    quantization: str = "none"

    @property
    def layout(self) -> Layout:
        """The layout's name."""
        return "single" if self.prefix_dim is None else "two-stage"

    @property
    def first_dim(self) -> int:
        """Dimensions that are searched first."""
        return self.prefix_dim or self.dim

    @property
    def memory(self) -> int:
        """Bytes that should fit into memory so that searches are fast, over all copies.

        ``points × first dim × bytes per dimension``: embedded, as pages of mapped files that are
        scanned; on a server × 1.5 for the graph, × copies. Payloads, and full vectors in the
        two-stage layout, are read from disk.
        """
        width = QUANTIZED[self.quantization] if self.server else FLOAT_BYTES
        vectors = self.points * self.first_dim * width
        return round(vectors * GRAPH_FACTOR * self.copies if self.server else vectors)

    @property
    def disk(self) -> int:
        """Bytes on disk, over all copies, at most.

        ``points × (4 × (dim + prefix dim) + payload + stamp + 30) + 64 MiB of log``; on a server
        with a log per shard, × 1.5 for rewriting, × copies.
        """
        vectors = FLOAT_BYTES * (self.dim + (self.prefix_dim or 0))
        if self.server and self.quantization != "none":
            vectors += round(QUANTIZED[self.quantization] * self.first_dim)
        data = self.points * (vectors + self.payload_bytes + STAMP_BYTES + POINT_BYTES)
        if not self.server:
            return round(data + LOG_BYTES)
        return round((data * REWRITE_FACTOR + LOG_BYTES * self.shards) * self.copies)

    def single(self) -> Shape:
        """The same with full vectors alone."""
        return replace(self, prefix_dim=None)

    def truncated(self) -> Shape:
        """The same with the first dimensions alone."""
        return replace(self, dim=self.first_dim, prefix_dim=None)

    def quantized(self) -> Shape:
        """The same with int8 vectors searched first."""
        return replace(self, quantization="scalar")


def seconds_of(
    texts: float, documents: int, *, encode_rate: float, read_rate: float, throttle: float | None
) -> float:
    """How long a build takes: reading, embedding and writing go on at the same time, so the
    slowest of them counts.

    Args:
        texts: distinct texts to embed.
        documents: to be read and looked up.
        encode_rate: texts per second that the encoder embeds.
        read_rate: documents per second that are read and looked up.
        throttle: documents per second that may be written, None: any.
    """
    embedding = texts / min(encode_rate, throttle or encode_rate) if texts else 0.0
    return max(embedding, documents / read_rate)
