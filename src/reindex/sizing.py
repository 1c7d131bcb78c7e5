"""What a move to another model needs: hours, machines, memory, disk, network, money.

Formulas over measured constants; docs/scale.md explains them and shows what they give. The size
of a collection is that of `reindex.forecast`. Rates are per second, sizes in bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from reindex.forecast import FLOAT_BYTES, SPILL_BYTES, Shape

FILL = 0.7
"""Share of a node's memory that is planned for. (The forecast's disk has its own reserve.)"""


@dataclass(frozen=True, slots=True)
class Constants:
    """What one machine does. The defaults were measured on a slow shared one: put in your own.

    Attributes:
        encode_per_s: documents that one actor embeds.
        build_efficiency: share of that rate that a build keeps.
        read_jsonl_per_s, read_sql_per_s: rows that one reader turns into documents.
        insert_per_s: points that one actor writes where embedding costs nothing.
        unchanged_per_s: documents that one actor reads, hashes and looks up.
        driver_per_s: documents that one driver takes from the readers and hands out.
        wire_fixed_bytes: of a point on its way to the store (gRPC), beside vectors and payload.
        wire_json_factor: REST instead of gRPC.
        lookup_bytes: of one id asked and answered.
        seen_bytes: of a document, in the driver's memory: finds duplicate ids.
        registry_commits_per_s: durable transactions; a single write needs one at least.
        points_per_shard: a shard is moved, rebuilt and recovered as a whole.
    """

    encode_per_s: float = 150
    build_efficiency: float = 0.95
    read_jsonl_per_s: float = 53_000
    read_sql_per_s: float = 60_000
    insert_per_s: float = 2_000
    unchanged_per_s: float = 8_200
    driver_per_s: float = 11_000
    wire_fixed_bytes: float = 474
    wire_json_factor: float = 4.4
    lookup_bytes: float = 536
    seen_bytes: float = 8
    registry_commits_per_s: float = 300
    points_per_shard: float = 20e6


@dataclass(frozen=True, slots=True)
class Move:
    """What is to be moved, and with what.

    Attributes:
        documents: of the source.
        dim, prefix_dim: of the new model, and what is searched first (None: the full vector).
        payload_bytes: a document's payload as JSON, its text included.
        copies: replication factor.
        collections: that are there at a time: the live one, the new one, one held over.
        quantization: of what is searched first: none, scalar, binary.
        actors: that read a slice of the source each, embed it and write it.
        node_memory, node_disk: of a node of the store.
        actor_price, node_price: per hour.
        keep_days: that the additional collections are kept until `gc`.
    """

    documents: int
    dim: int = 384
    prefix_dim: int | None = 128
    payload_bytes: float = 1_200
    copies: int = 1
    collections: int = 2
    quantization: str = "none"
    actors: int = 1
    node_memory: float = 64e9
    node_disk: float = 1e12
    actor_price: float = 0.0
    node_price: float = 0.0
    keep_days: float = 7.0

    @property
    def shape(self) -> Shape:
        """One collection of one copy, on a server."""
        return Shape(
            self.documents, self.dim, self.prefix_dim, self.payload_bytes, server=True,
            quantization=self.quantization,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Needs:
    """What a move needs, in bytes and hours.

    ``memory`` and ``disk`` are those of one copy of one collection, ``total_…`` of all.
    """

    per_actor: float
    build_hours: float
    pass_hours: float
    memory: int
    disk: int
    total_memory: int
    total_disk: int
    nodes: int
    shards: int
    build_network: float
    pass_network: float
    driver_memory: float
    driver_disk: float
    cost: float


def needs(move: Move, constants: Constants | None = None) -> Needs:
    """What the move needs, by the formulas of docs/scale.md."""
    c = constants or Constants()
    n = move.documents
    per_actor = rate_of_an_actor(c)
    hours = n / together_per_s(move.actors * per_actor, c) / 3600
    memory, disk = move.shape.memory, move.shape.disk
    together = move.copies * move.collections
    nodes = nodes_for(move, memory * together, disk * together)
    return Needs(
        per_actor=per_actor,
        build_hours=hours,
        pass_hours=n / together_per_s(move.actors * c.unchanged_per_s, c) / 3600,
        memory=memory,
        disk=disk,
        total_memory=memory * together,
        total_disk=disk * together,
        nodes=nodes,
        shards=shards_for(n, nodes, c),
        build_network=n * (c.lookup_bytes + move.copies * wire_of_a_point(move, c)),
        pass_network=n * c.lookup_bytes,
        driver_memory=n * c.seen_bytes,
        driver_disk=float(n * SPILL_BYTES),
        cost=hours * move.actors * move.actor_price
        + (hours + 24 * move.keep_days) * nodes * move.node_price,
    )


def rate_of_an_actor(c: Constants) -> float:
    """Documents per second: embedding, reading and writing overlap, so the slowest decides."""
    return min(c.encode_per_s * c.build_efficiency, c.insert_per_s, c.read_jsonl_per_s)


def together_per_s(actors: float, c: Constants) -> float:
    """Documents per second of all actors, which one driver feeds."""
    return min(actors, c.driver_per_s)


def actors_for(documents: int, hours: float, constants: Constants | None = None) -> int:
    """Actors that build a collection within ``hours``.

    Raises:
        ValueError: no number does, for the driver hands out less.
    """
    c = constants or Constants()
    rate = documents / (hours * 3600)
    if rate > c.driver_per_s:
        least = documents / c.driver_per_s / 3600
        raise ValueError(
            f"{documents:,} documents take a driver that hands out {c.driver_per_s:,.0f}/s "
            f"{least:,.1f} hours at least, however many actors there are; expected {hours:,.1f}."
        )
    return math.ceil(rate / rate_of_an_actor(c))


def wire_of_a_point(move: Move, c: Constants) -> float:
    """A point on its way to the store, by gRPC."""
    return (
        FLOAT_BYTES * (move.dim + (move.prefix_dim or 0)) + c.wire_fixed_bytes + move.payload_bytes
    )


def nodes_for(move: Move, memory: float, disk: float) -> int:
    """Nodes whose memory and disk hold all; at least one per copy."""
    wanted = max(memory / (FILL * move.node_memory), disk / move.node_disk)
    return max(move.copies, math.ceil(wanted))


def shards_for(documents: int, nodes: int, c: Constants) -> int:
    """Shards of a collection: not too large, and as many on each node."""
    return math.ceil(max(documents / c.points_per_shard, 1) / nodes) * nodes
