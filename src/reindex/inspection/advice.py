"""Payload indexes that are missing, sizes, and what a store can and cannot do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reindex.inspection.findings import Finding
from reindex.records import STAMP_KEY, CollectionDescription, StoredPoint

SLOW_SCAN = 10_000
"""Points from which a filter on a field without an index is worth a warning."""

FEW_VALUES = 0.3
"""A field whose values are at most this share of the sampled points is one to filter by."""

BYTES = {"float16": 2, "uint8": 1}
"""Per component; float32 otherwise."""

ABILITIES: tuple[tuple[tuple[int, int], str], ...] = (
    ((1, 16), "metadata of collections"),
    ((1, 17), "insert-only and update-only writes"),
)
"""Server version from which it can; sources: the release notes of Qdrant 1.16 and 1.17."""


def index_findings(
    found: CollectionDescription,
    sample: Sequence[StoredPoint],
    other: CollectionDescription | None,
) -> Iterator[Finding]:
    """Indexes that ``other`` (what this one follows or precedes) has, and fields to filter by."""
    if other is not None:
        missing = [f for f in other.indexes if f not in found.indexes and not _ours(f)]
        if missing:
            yield Finding(
                "warning", "payload indexes",
                f"{other.name} has payload indexes that {found.name} lacks: {', '.join(missing)}.",
                "`reindex build` with the live collection as its source carries them over.",
            )  # fmt: skip
    fields = [name for name in filter_fields(sample) if name not in found.indexes]
    if fields and not any(not _ours(name) for name in found.indexes):
        yield Finding(
            "warning" if found.points >= SLOW_SCAN else "info", "payload indexes",
            f"no payload field has an index; filters on {', '.join(fields[:5])} scan.",
            "If your app filters by them: client.create_payload_index(…).",
        )  # fmt: skip


def _ours(field: str) -> bool:
    return field.startswith(f"{STAMP_KEY}.")


def filter_fields(sample: Sequence[StoredPoint]) -> list[str]:
    """Fields, one object deep, that hold few different strings, numbers or booleans."""
    values: dict[str, list[Any]] = {}
    for point in sample:
        for name, value in _flat(point.payload):
            values.setdefault(name, []).append(value)
    enough = len(sample) / 2
    return sorted(
        name
        for name, seen in values.items()
        if len(seen) > enough and 1 < len(set(seen)) <= FEW_VALUES * len(seen)
    )


def _flat(payload: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in payload.items():
        inner = value.items() if isinstance(value, Mapping) else ()
        for path, found in [(name, value), *((f"{name}.{key}", item) for key, item in inner)]:
            if isinstance(found, str | int | bool) and len(str(found)) <= 64:
                yield path, found


def vector_bytes(found: CollectionDescription) -> int:
    """Bytes of the dense vectors as they are stored, without graphs and copies."""
    return sum(
        found.points * (vector.dim or 0) * BYTES.get(str(vector.params.get("datatype")), 4)
        for vector in found.vectors
    )


def server_facts(version: str) -> dict[str, str]:
    """The server's version, and what it can do that reindex builds on."""
    found = tuple(int(digits) for digits in re.findall(r"\d+", version)[:2])
    return {
        "server": f"Qdrant {version}",
        **{name: "yes" if found >= since else "no" for since, name in ABILITIES},
    }


EMBEDDED_FACTS = {
    "store": "embedded (Qdrant Edge)",
    "insert-only and update-only writes": "yes",
    "other vectors (sparse, images)": "no",
    "payload indexes": "no",
    "several processes": "no",
}
"""What the embedded store can and cannot do."""


def human_bytes(count: float) -> str:
    """1536 -> 1.54 KB."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
