"""The constants that docs/scale.md calculates with, measured on this machine.

    python benchmarks/scale_constants.py [--documents 50000] [--json FILE]

Everything but the encoder's rate, for which there is ``bulk_encoding.py``: here the encoder is a
hash. Real parts: SQLite, the embedded store, the registry, the client's gRPC and JSON messages.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.build_fixtures import BUILD, COLLECTION, Letters
from tests.hash_encoder import HashEncoder
from tests.sql_fixtures import SOURCE, put
from tests.store_fixtures import MemoryCatalog

from reindex.build import converge
from reindex.config import BuildSettings, SourceSettings
from reindex.corpus.dead_letters import IgnoredLetters
from reindex.corpus.sources import open_source
from reindex.forecast import POINT_BYTES, STAMP_BYTES
from reindex.protocols import DeadLetterSink
from reindex.records import CollectionSpec, Document, Point, Stamp, payload_hash, text_hash
from reindex.sizing import Constants
from reindex.stores.edge import EdgeStore

_DICE = random.Random(13)
WORDS = ["".join(_DICE.choices("abcdefghijklmnopqrstuvwxyz", k=_DICE.randint(2, 9)))
         for _ in range(5_000)]  # fmt: skip


def body(number: int, size: int) -> str:
    """A text of ``size`` characters that no other document has, and that compresses as texts do."""
    words = random.Random(number).choices(WORDS, k=size // 5)
    return f"{number} {' '.join(words)}"[:size]


@dataclasses.dataclass(frozen=True)
class Texts:
    """Documents whose payload is their text and a little more."""

    texts: Sequence[str]
    name: str = "synthetic"

    def documents(self, dead: DeadLetterSink) -> Iterator[Document]:  # noqa: ARG002
        for number, text in enumerate(self.texts):
            yield Document(f"doc-{number}", text, {"text": text, "tenant": "a"})

    def count(self) -> int | None:
        return len(self.texts)


def rate(count: int, work: Callable[[], object]) -> float:
    """``count`` per second."""
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def disk_bytes(folder: Path) -> int:
    """What the files take on the disk; the log is left out, whose size does not grow."""
    files = (file for file in folder.rglob("*") if file.is_file() and "wal" not in file.parts)
    return sum(file.stat().st_blocks * 512 for file in files)


def reading(folder: Path, documents: int) -> dict[str, float]:
    """Rows per second of a JSONL file and of an SQL query, as documents."""
    rows = [(n, body(n, 700)) for n in range(documents)]
    put(folder, rows)
    lines = (json.dumps({"_id": f"doc-{n}", "text": text}) + "\n" for n, text in rows)
    (folder / "a.jsonl").write_text("".join(lines), "utf-8")
    jsonl = open_source(SourceSettings(kind="jsonl", path=Path("a.jsonl")), folder)
    sql = open_source(SourceSettings(**SOURCE), folder)
    ignored = IgnoredLetters()
    return {
        "read_jsonl_per_s": rate(documents, lambda: sum(1 for _ in jsonl.documents(ignored))),
        "read_sql_per_s": rate(documents, lambda: sum(1 for _ in sql.documents(ignored))),
    }


class Collection:
    """An embedded collection to converge, of one dimension."""

    def __init__(self, folder: Path, dim: int, prefix: int) -> None:
        self.encoder, self.folder = HashEncoder(dim), folder
        self.store = EdgeStore(folder, MemoryCatalog())
        metadata = {"space": self.encoder.space, "encoding": self.encoder.encoding, "build": BUILD}
        self.store.create(CollectionSpec(COLLECTION, dim, "two-stage", prefix, metadata))
        self.rev = 0

    def run(self, texts: Texts) -> None:
        """One pass."""
        self.rev += 1
        converge(
            texts, self.encoder, self.store, COLLECTION, build=BUILD, rev=self.rev, dead=Letters(),
            settings=BuildSettings(), batch_size=256, allow_deletes=True,
        )  # fmt: skip

    def bytes_on_disk(self) -> int:
        self.store.close()
        return disk_bytes(self.folder)


def converging(folder: Path, documents: int) -> dict[str, float]:
    """First and unchanged pass, and bytes on disk: slopes over points, and over payload."""
    light = Collection(folder / "light", 384, 128)
    texts = [body(n, 200) for n in range(documents)]
    light.run(Texts(texts[: documents // 4]))
    first = light.bytes_on_disk()
    rest = documents - documents // 4
    found = {"insert_per_s": rate(rest, lambda: light.run(Texts(texts)))}
    per_point = (light.bytes_on_disk() - first) / rest
    found["unchanged_per_s"] = rate(documents, lambda: light.run(Texts(texts)))
    heavy = Collection(folder / "heavy", 384, 128)
    heavy.run(Texts([body(n, 2200) for n in range(documents)]))
    found["disk_per_payload_byte"] = (
        (heavy.bytes_on_disk() - light.bytes_on_disk()) / 2000 / documents
    )
    found["disk_fixed_bytes"] = per_point - 4 * (384 + 128) - found["disk_per_payload_byte"] * 200
    return found


def example() -> Point:
    """A point with 384 dimensions and no payload of its own."""
    encoder = HashEncoder(384)
    stamp = Stamp(
        "doc-12345678", "f" * 64, "e" * 64, "b" * 32, "sql:postgresql:db/docs", text_hash("t"),
        payload_hash({}), 1234,
    )  # fmt: skip
    return Point(
        "0b8f4f4e-5f0a-5e0b-9d5b-3c1f6a2f7d10", encoder.encode_documents(["t"])[0], {}, stamp
    )


def messages() -> dict[str, float]:
    """Bytes of a point on its way to a server, by gRPC and as JSON; of a look-up."""
    from qdrant_client import grpc, models
    from qdrant_client.conversions.conversion import RestToGrpc

    from reindex.stores.layout import Shape
    from reindex.stores.server_models import point_structs

    (made,) = point_structs("c", [example()], Shape(384, 128))
    on_the_wire = RestToGrpc.convert_point_struct(made)
    stamp = RestToGrpc.convert_payload(made.payload or {})
    answer = grpc.RetrievedPoint(id=on_the_wire.id, payload=stamp)
    request = models.PointRequest(ids=[made.id]).model_dump_json()
    return {
        "wire_fixed_bytes": on_the_wire.ByteSize() - 4 * (384 + 128),
        "wire_json_factor": len(made.model_dump_json()) / on_the_wire.ByteSize(),
        "lookup_bytes": answer.ByteSize() + len(request),
    }


def registry(folder: Path, writes: int) -> dict[str, float]:
    """Durable single-row transactions per second: what the journal of single writes is bound by."""
    from reindex.registry import REGISTRY_NAME, Registry

    opened = Registry(folder / REGISTRY_NAME, create=True)
    names = [str(number) for number in range(writes)]

    def write() -> None:
        for name in names:
            opened.record_dataset(name, role="test", name=name, size=1)

    return {"registry_commits_per_s": rate(writes, write)}


def measure(documents: int) -> dict[str, Any]:
    """All of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: dict[str, Any] = {**reading(folder, documents), **converging(folder, documents)}
        found |= {**messages(), **registry(folder, 500)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--json", type=Path, help="Also write the figures to a file.")
    given = parser.parse_args()
    found = measure(given.documents)
    used = {
        **dataclasses.asdict(Constants()),
        "disk_fixed_bytes": STAMP_BYTES + POINT_BYTES,
        "disk_per_payload_byte": 1,
    }
    print(f"{os.cpu_count()} cores, {given.documents:,} documents")
    for key, value in found.items():
        print(f"{key:24} {value:12,.4g}    used in docs/scale.md: {used[key]:,}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
