"""What a move to another model needs: hours, machines, memory, disk, network, money.

Formulas over measured constants; docs/scale.md explains them and shows what they give. Rates are
per second, sizes in bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FLOAT = 4
"""Bytes of a dimension that is stored as it is."""

QUANTIZED = {"none": 4.0, "scalar": 1.0, "binary": 1 / 8}
"""Bytes in memory of a dimension of the vector that is searched first."""

GRAPH_M = 16
"""Links per point of Qdrant's HNSW graphs; twice as many in the lowest layer."""

FILL = 0.7
"""Share of a node's memory and disk that is planned for: the rest is for merging and growing."""


@dataclass(frozen=True, slots=True)
class Constants:
    """What one machine does. The defaults were measured on a slow shared one: put in your own.

    Attributes:
        encode_per_s: documents that one actor embeds.
        build_efficiency: share of that rate that a build keeps.
        read_jsonl_per_s, read_sql_per_s: rows that one reader turns into documents.
        insert_per_s: points that one actor writes where embedding costs nothing.
        unchanged_per_s: documents that one actor reads, hashes and looks up.
        disk_fixed_bytes: of a point, beside vectors and payload: stamp, ids, indexes.
        disk_per_payload_byte: of the payload's JSON.
        wire_fixed_bytes: of a point on its way to the store (gRPC), beside vectors and payload.
        wire_json_factor: REST instead of gRPC.
        lookup_bytes: of one id asked and answered.
        memory_fixed_bytes: of a point in the store's memory, beside vector and graph: its id.
        spill_bytes: of a document, on an actor's disk during a run.
        seen_bytes: of a document, in its reader's memory: finds duplicate ids.
        registry_commits_per_s: durable transactions; a single write needs one at least.
        points_per_shard: a shard is moved, rebuilt and recovered as a whole.
    """

    encode_per_s: float = 150
    build_efficiency: float = 0.95
    read_jsonl_per_s: float = 53_000
    read_sql_per_s: float = 60_000
    insert_per_s: float = 2_000
    unchanged_per_s: float = 8_200
    disk_fixed_bytes: float = 364
    disk_per_payload_byte: float = 1
    wire_fixed_bytes: float = 474
    wire_json_factor: float = 4.4
    lookup_bytes: float = 536
    memory_fixed_bytes: float = 32
    spill_bytes: float = 50
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


@dataclass(frozen=True, slots=True)
class Needs:
    """What a move needs; per collection unless its name says otherwise. Bytes and hours."""

    per_actor: float
    build_hours: float
    pass_hours: float
    memory: float
    disk: float
    total_memory: float
    total_disk: float
    nodes: int
    shards: int
    build_network: float
    pass_network: float
    actor_memory: float
    actor_disk: float
    cost: float


def needs(move: Move, constants: Constants | None = None) -> Needs:
    """What the move needs, by the formulas of docs/scale.md."""
    c = constants or Constants()
    n = move.documents
    per_actor = rate_of_an_actor(c)
    hours = n / (move.actors * per_actor) / 3600
    memory, disk = n * memory_of_a_point(move, c), n * disk_of_a_point(move, c)
    together = move.copies * move.collections
    nodes = nodes_for(move, memory * together, disk * together)
    return Needs(
        per_actor=per_actor,
        build_hours=hours,
        pass_hours=n / (move.actors * c.unchanged_per_s) / 3600,
        memory=memory,
        disk=disk,
        total_memory=memory * together,
        total_disk=disk * together,
        nodes=nodes,
        shards=shards_for(n, nodes, c),
        build_network=n * (c.lookup_bytes + move.copies * wire_of_a_point(move, c)),
        pass_network=n * c.lookup_bytes,
        actor_memory=n / move.actors * c.seen_bytes,
        actor_disk=n / move.actors * c.spill_bytes,
        cost=hours * move.actors * move.actor_price
        + (hours + 24 * move.keep_days) * nodes * move.node_price,
    )


def rate_of_an_actor(c: Constants) -> float:
    """Documents per second: embedding, reading and writing overlap, so the slowest decides."""
    return min(c.encode_per_s * c.build_efficiency, c.insert_per_s, c.read_jsonl_per_s)


def actors_for(documents: int, hours: float, constants: Constants | None = None) -> int:
    """Actors that build a collection within ``hours``."""
    return math.ceil(documents / (rate_of_an_actor(constants or Constants()) * hours * 3600))


def memory_of_a_point(move: Move, c: Constants) -> float:
    """What must stay in memory to search fast: the searched vector, its graph, the id.

    The graph: 2·m links in the lowest layer and m in each of the others, which hold 1/m as many
    points as the one below (Malkov and Yashunin 2018), 4 bytes each.
    """
    graph = 4 * (2 * GRAPH_M + GRAPH_M / (GRAPH_M - 1))
    searched = (move.prefix_dim or move.dim) * QUANTIZED[move.quantization]
    return searched + graph + c.memory_fixed_bytes


def disk_of_a_point(move: Move, c: Constants) -> float:
    """Vectors, payload, stamp; and the searched vector once more where it is quantized."""
    vectors = float(FLOAT * (move.dim + (move.prefix_dim or 0)))
    if move.quantization != "none":
        vectors += (move.prefix_dim or move.dim) * QUANTIZED[move.quantization]
    return vectors + c.disk_fixed_bytes + c.disk_per_payload_byte * move.payload_bytes


def wire_of_a_point(move: Move, c: Constants) -> float:
    """A point on its way to the store, by gRPC."""
    return FLOAT * (move.dim + (move.prefix_dim or 0)) + c.wire_fixed_bytes + move.payload_bytes


def nodes_for(move: Move, memory: float, disk: float) -> int:
    """Nodes whose memory and disk hold all; at least one per copy."""
    wanted = max(memory / (FILL * move.node_memory), disk / (FILL * move.node_disk))
    return max(move.copies, math.ceil(wanted))


def shards_for(documents: int, nodes: int, c: Constants) -> int:
    """Shards of a collection: not too large, and as many on each node."""
    return math.ceil(max(documents / c.points_per_shard, 1) / nodes) * nodes
