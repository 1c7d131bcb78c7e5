"""Stores are found by name among the installed entry points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reindex.config import Settings, load_settings
from reindex.config.store_kinds import store_kinds
from reindex.errors import ConfigError, StoreError
from reindex.stores import open_store
from reindex.testing.catalog import MemoryCatalog

MODULE = """
from tests.dict_store import DictStore

class Shelf(DictStore):
    kind = {kind!r}

    def __init__(self, options):
        super().__init__()
        self.options = options

def open_store(settings, catalog):
    return Shelf(settings.store.options)
"""
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution that registers a store where Python looks for distributions."""

    def install(name: str, *, package: str, module: str = "", calls_itself: str = "") -> None:
        place = tmp_path / package
        info = place / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        target = module or f"{package}_module"
        (info / "entry_points.txt").write_text(f"[reindex.stores]\n{name} = {target}:open_store\n")
        (place / f"{package}_module.py").write_text(MODULE.format(kind=calls_itself or name))
        monkeypatch.syspath_prepend(place)
        store_kinds.cache_clear()

    yield install
    store_kinds.cache_clear()


def settings(folder: Path, kind: str, options: str = "") -> Settings:
    file = folder / "reindex.toml"
    file.write_text(f"[store]\nkind = '{kind}'\n[store.options]\n{options}\n", "utf-8")
    return load_settings(file)


def opened(folder: Path, kind: str, options: str = "") -> Any:
    return open_store(settings(folder, kind, options), MemoryCatalog())


def test_a_plug_in_opens_with_its_own_options(tmp_path: Path, install: Install) -> None:
    install("shelf", package="shelves")
    store = opened(tmp_path, "shelf", "depth = 3\n[store.options.wood]\nkind = 'oak'")
    assert (store.kind, store.options) == ("shelf", {"depth": 3, "wood": {"kind": "oak"}})


def test_the_built_in_stores_come_the_same_way() -> None:
    assert {"embedded", "server"} <= set(store_kinds())


def test_an_unknown_name_lists_what_is_installed_and_the_nearest(
    tmp_path: Path, install: Install
) -> None:
    install("shelf", package="shelves")
    expected = r"store\.kind: .*'shelv'.*embedded \(reindex\).*shelf \(shelves\).*mean 'shelf'"
    with pytest.raises(ConfigError, match=expected):
        settings(tmp_path, "shelv")


def test_nobody_takes_over_another_ones_name(tmp_path: Path, install: Install) -> None:
    install("embedded", package="intruder")
    with pytest.raises(ConfigError, match=r"several packages.*'embedded': .*intruder"):
        settings(tmp_path, "embedded")
    with pytest.raises(ConfigError, match="several packages"):
        open_store(Settings(), MemoryCatalog())  # the default is not validated, but looked up


def test_one_that_cannot_be_imported_says_why(tmp_path: Path, install: Install) -> None:
    install("broken", package="broken_store", module="no_such_module")
    with pytest.raises(ConfigError, match=r"store\.kind: .*no_such_module"):
        opened(tmp_path, "broken")


def test_one_that_calls_itself_otherwise_is_refused(tmp_path: Path, install: Install) -> None:
    install("shelf", package="racks", calls_itself="rack")
    with pytest.raises(StoreError, match=r"'shelf'.*calls itself 'rack'"):
        opened(tmp_path, "shelf")


def test_metadata_older_than_the_code_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reindex.config.store_kinds.entry_points", lambda **_: ())
    store_kinds.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"not even the built-in.*pip install -e"):
            settings(tmp_path, "embedded")
    finally:
        store_kinds.cache_clear()


@pytest.mark.parametrize("kind", ["embedded", "server"])
def test_built_in_stores_take_no_options(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigError, match=rf"store\.options.*{kind}.*'?depth"):
        opened(tmp_path, kind, "depth = 3")
