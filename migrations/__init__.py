"""The registry's schema: numbered SQL files, applied in order by `reindex.registry`."""
