"""Vector stores: those built in and those plugged in. See ``protocols.Store``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from reindex.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from reindex.config import Settings
    from reindex.protocols import Catalog, Store

__all__ = ["StoreFactory", "open_store", "refuse_options"]


class StoreFactory(Protocol):
    """What an entry point of the group ``reindex.stores`` names: it opens a project's store."""

    def __call__(self, settings: Settings, catalog: Catalog) -> Store:
        """Open the store.

        Args:
            settings: of the project. ``settings.store.options`` are the store's own keys, which
                nobody has checked yet; ``settings.resolve(settings.store.path)`` is a folder for
                its files, which need not exist.
            catalog: keeps aliases, metadata and owners in the project's registry, for an engine
                that does not keep them itself.

        Raises:
            ConfigError: the options are wrong.
            MissingExtra: the engine is not installed.
            StoreError: the store cannot be opened.
        """


def open_store(settings: Settings, catalog: Catalog) -> Store:
    """The store that ``[store] kind`` names.

    Raises:
        ConfigError: there is no such store, it cannot be loaded, or its options are wrong.
        StoreError: whatever its factory raises.
    """
    from reindex.config.store_kinds import store_entry

    try:
        entry = store_entry(settings.store.kind)
        factory = cast(StoreFactory, entry.load())
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"store.kind: {error}.") from error
    store = factory(settings, catalog)
    if store.kind != settings.store.kind:
        raise StoreError(
            f"the store registered as {settings.store.kind!r} ({entry.value}) calls itself "
            f"{store.kind!r}; expected the same name in both places."
        )
    return store


def refuse_options(settings: Settings) -> None:
    """For a store that has no options of its own. Raises ConfigError where there are some."""
    if settings.store.options:
        raise ConfigError(
            f"store.options: the store {settings.store.kind!r} takes none, got "
            f"{', '.join(sorted(settings.store.options))}."
        )
