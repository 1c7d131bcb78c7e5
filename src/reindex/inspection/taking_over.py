"""What must be known of somebody else's collection before it is taken over: vector, text, owner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from reindex.config import Settings, SourceSettings
from reindex.corpus.frameworks import StoredText, detect, stored_text
from reindex.errors import AdoptionRefused
from reindex.records import CollectionDescription, StoredPoint, VectorDescription
from reindex.stores.layout import DISTANCES

WAYS = 3
"""Ways to read the texts that are tried, likeliest first."""


def choose_vector(found: CollectionDescription, asked: str | None) -> VectorDescription:
    """The dense vector that the model is said to have made. Raises AdoptionRefused."""
    dense = {vector.name: vector for vector in found.vectors if vector.kind == "dense"}
    shown = ", ".join(f"{name!r} ({vector.dim} dims)" for name, vector in dense.items()) or "none"
    name = asked if asked is not None else next(iter(found.owned), None)
    if name is None or name not in dense:
        wanted = "which one the model made" if asked is None else f"a dense vector {asked!r}"
        raise AdoptionRefused(
            f"{found.name} has the dense vectors: {shown}. Expected {wanted}. "
            'Name it with --vector NAME (--vector "" is the unnamed one).'
        )
    chosen = dense[name]
    if chosen.distance not in DISTANCES:
        raise AdoptionRefused(
            f"{found.name} compares {name!r} by {chosen.distance}; expected {DISTANCES[0]} or "
            f"{DISTANCES[1]}. Under others the order of results is another one than the model's "
            "cosine, so live and candidate could not be compared."
        )
    return chosen


def check_free(project: str, found: CollectionDescription) -> None:
    """Neither one of ours nor another project's."""
    owner = found.metadata.get("project")
    if owner is not None and owner != project:
        raise AdoptionRefused(f"{found.name} belongs to the reindex project {owner!r} already.")
    if "build" in found.metadata and "adopted" not in found.metadata:
        raise AdoptionRefused(
            f"{found.name} was built by reindex as {found.metadata.get('version')}; there is "
            f"nothing to adopt. Use: reindex promote {found.metadata.get('version')}"
        )
    if found.points == 0:
        raise AdoptionRefused(
            f"{found.name} is empty: there is nothing by which the model could be verified. For a "
            "new index: reindex init --adopt, then reindex build."
        )


def ways_to_read(
    source: SourceSettings, points: Sequence[StoredPoint], name: str
) -> list[StoredText]:
    """The configured way if the source is this collection, then what the payloads look like."""
    payloads = [point.payload for point in points]
    found = [item.text for item in detect(payloads) if item.share >= 0.5][:WAYS]
    if source.kind == "collection" and {"payload", "text_fields"} & source.model_fields_set:
        configured = stored_text(source)
        if any(map(configured, payloads)):
            return [configured, *(way for way in found if way != configured)]
    if not found:
        fields = ", ".join(sorted({key for payload in payloads for key in payload})) or "none"
        raise AdoptionRefused(
            f"No text was found in the payloads of {name}. Their fields: {fields}. Name the one "
            "that was embedded with --text-key (a dot goes into an object: metadata.body)."
        )
    return found


def config_lines(settings: Settings, text: StoredText) -> Iterator[str]:
    """What reindex.toml must say so that the next version is built from this collection."""
    source = settings.source
    if source.kind != "collection":
        yield '[source] kind = "collection"'
    configured = stored_text(source.model_copy(update={"kind": "collection"}))
    if replace(configured, separator=text.separator) != text:
        yield f'[source] payload = "{text.preset}"'
        if text.fields:
            yield f"[source] text_fields = {list(text.fields)}"
    if text.preset == "haystack" and settings.store.layout != "single":
        yield '[store] layout = "single"  # Haystack reads no collection with other vectors'


def project_name(collection: str) -> str:
    """A project's name from a collection's: what `project.name` allows."""
    kept = "".join(c if (c.isalnum() and c.isascii()) or c in "_.-" else "-" for c in collection)
    return kept.lstrip("_.-") or Path("project").name
