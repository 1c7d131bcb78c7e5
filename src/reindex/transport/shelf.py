"""The artifacts under an address, for a host that has no registry: found by what a collection says.

A collection's metadata name the version, the space and the encoding of its vectors. The artifact is
taken from the address' folder of that version, or from the address itself, and must be of that
space: what a tokenizer, prompts and pooling are is part of it, and of the graph the encoding is the
very checksum. So whoever can write the address, but not the collection, cannot change what a search
computes where the collection was embedded by the graph that searches.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reindex.artifact import MANIFEST_NAME, Manifest, load_manifest
from reindex.errors import ArtifactError, ReindexError
from reindex.transport.address import beneath, open_place
from reindex.transport.contents import check_manifest
from reindex.transport.fetch import Fetched, Wish, fetch, read_manifest, verify
from reindex.transport.places import Place

logger = logging.getLogger(__name__)

GRAPH = "int8"
"""What queries are embedded with, as in a project."""

_VERSION = re.compile(r"v[1-9][0-9]{0,5}")


def default_cache() -> Path:
    """Where fetched artifacts are kept: ``reindex/artifacts`` in the user's cache folder."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "reindex" / "artifacts"


class Shelf:
    """Artifacts under ``address``, kept in ``cache`` once they were fetched and verified."""

    def __init__(self, address: str, cache: Path) -> None:
        open_place(address)  # a mistyped one is told now
        self.address, self._cache = address, cache
        try:
            cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ArtifactError(f"{cache} cannot be written: {error.strerror}.") from None

    def fetch(self, collection: str, metadata: Mapping[str, Any]) -> Fetched:
        """The artifact whose vectors a collection holds, from the cache where it is there.

        Raises:
            ArtifactError: the metadata name none, none under the address is of that space, or the
                one that is cannot be fetched or verified.
        """
        version, space = str(metadata.get("version")), str(metadata.get("space"))
        encoding = str(metadata.get("encoding"))
        if not _VERSION.fullmatch(version):
            raise ArtifactError(
                f"{collection} does not say which version it belongs to (version {version[:40]!r} "
                "in its metadata), so no encoder can be chosen for it."
            )
        kept = self._cached(space, encoding)
        if kept is not None:
            return kept
        seen = []
        for place in self._places(version):
            try:
                _, manifest, digest = read_manifest(place)
            except ArtifactError as error:
                seen.append(str(error))
                continue
            if fits(manifest, space, encoding):
                wish = Wish(digest=digest, graphs=(GRAPH,), extras=False)
                return fetch(place, self._cache, wish)
            seen.append(f"{place.shown} is of space {manifest.space[:12]}…")
        raise ArtifactError(
            f"{collection} holds vectors of {version}, space {space[:12]}…, encoding "
            f"{encoding[:12]}…, and no artifact of that is at {self.address}. "
            f"{' '.join(seen)} On the registry's host: reindex push {version} "
            f"{beneath(self.address, version)}"
        )

    def _places(self, version: str) -> Iterator[Place]:
        yield open_place(beneath(self.address, version))
        yield open_place(self.address)

    def _cached(self, space: str, encoding: str) -> Fetched | None:
        """One that was fetched before, verified again; so searching outlives the address."""
        for file in self._cache.glob(f"*-{GRAPH}-bare/{MANIFEST_NAME}"):
            try:
                manifest = load_manifest(file.parent)
                if fits(manifest, space, encoding):
                    check_manifest(manifest)
                    verify(file.parent, manifest, (GRAPH,), extras=False)
                    return Fetched(file.parent, manifest, file.parent.name.partition("-")[0], 0)
            except ReindexError as error:
                logger.warning("%s is not used: %s", file.parent, error)
        return None


def fits(manifest: Manifest, space: str, encoding: str) -> bool:
    """Whether queries by this artifact may search vectors of this space and encoding."""
    if manifest.space != space or GRAPH not in manifest.present:
        return False
    return encoding in manifest.certified_with(manifest.encoding(GRAPH))
