"""The conformance suite of the store protocol, to be subclassed::

    from reindex.testing.stores import StoreSuite, World

    class TestMyStore(StoreSuite):
        def open_world(self, folder):
            store = MyStore(folder)
            yield World(store, reopen=lambda: MyStore(folder))
            store.close()

The built-in stores pass the same class.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

_PARTS = ("store_writing", "store_reading")
pytest.register_assert_rewrite(*(f"reindex.testing.{part}" for part in _PARTS))

from reindex.testing.store_reading import Lifetime, Scroll, Search  # noqa: E402
from reindex.testing.store_writing import Aliases, Collections, ForeignPoints, Writes  # noqa: E402
from reindex.testing.world import World  # noqa: E402

__all__ = ["StoreSuite", "World"]


class StoreSuite(Collections, Aliases, Writes, ForeignPoints, Scroll, Search, Lifetime):
    """Every promise of ``reindex.protocols.Store`` that a test can hold.

    Subclass it under a name that pytest collects, and say how to open the store.
    """

    def open_world(self, folder: Path) -> Iterator[World]:
        """Yield a `World` around a store in the empty ``folder``; clean up afterwards."""
        raise NotImplementedError("open_world: yield a World around your store")

    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        """A store of its own for every test."""
        yield from self.open_world(tmp_path)
