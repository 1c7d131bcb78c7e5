"""The built-in stores pass the conformance suite that plug-ins are tested with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reindex.testing.stores import StoreSuite
from tests.store_fixtures import World, world_of


class TestEdge(StoreSuite):
    def open_world(self, folder: Path) -> Iterator[World]:
        yield from world_of("edge", folder)


@pytest.mark.filterwarnings(
    "ignore:Payload indexes have no effect", "ignore:Local mode performs exact"
)
class TestInMemoryServer(StoreSuite):
    def open_world(self, folder: Path) -> Iterator[World]:
        yield from world_of("memory", folder)


class TestServerOverHttp(StoreSuite):
    def open_world(self, folder: Path) -> Iterator[World]:
        yield from world_of("http", folder)


class TestServer(StoreSuite):
    def open_world(self, folder: Path) -> Iterator[World]:
        yield from world_of("server", folder)
