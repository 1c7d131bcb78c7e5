"""Tests for what plugs into reindex. Needs pytest; nothing else of reindex imports this.

Import `reindex.testing.stores` to test a vector store of your own. See docs/stores-plugins.md.
"""
