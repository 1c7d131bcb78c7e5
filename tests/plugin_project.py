"""A small project behind a real server, for whatever plugs in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reindex.registry.api_keys import ApiKeys
from reindex.server.app import make_app
from reindex.stages.building import build
from reindex.stages.searching import settle
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.http_fixtures import listening

PLUGIN_TEXTS = tuple(f"text number {n}" for n in range(30))


@dataclass(frozen=True)
class Plugged:
    """A project over hash encoders: v1 is live, v2 is built. ``key`` may read and write."""

    project: HashWorkspace
    url: str
    key: str

    def flip(self, version: str) -> None:
        """Promote a version, and wait until the next search is answered by it."""
        self.project.promote(version, force=True, reason="a test")
        settle(self.project)


@contextmanager
def plugged(
    folder: Path, preset: str = "plain", *, texts: Sequence[str] = PLUGIN_TEXTS,
    values: Mapping[str, dict[str, Any]] | None = None,
) -> Iterator[Plugged]:  # fmt: skip
    """Serve a new project whose payloads are laid out as ``preset`` says.

    ``texts`` are the documents d0, d1, …; ``values`` are further settings by section.
    """
    write_documents(folder, texts)
    given = dict(values or {})
    source = {"payload": preset, **given.pop("source", {})}
    with hash_project(folder, versions=2, source=source, **given) as project:
        for version in ("v1", "v2"):
            build(project, version)
        project.promote("v1")
        key = ApiKeys(project.registry).add("plugin", ["search", "read", "write"], "nobody")
        with listening(make_app(project)) as url:
            yield Plugged(project, url, key)
