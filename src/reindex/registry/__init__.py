"""The registry: what was made, what was found, what was flipped; one SQLite file a project."""

from reindex.registry.registry import REGISTRY_NAME, Registry

__all__ = ["REGISTRY_NAME", "Registry"]
