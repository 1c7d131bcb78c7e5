"""Models that are no version: from the Hub, a package or a folder, embedding as they are."""

from reindex.off_the_shelf.loading import ModelSpec, load_model
from reindex.off_the_shelf.model import OffTheShelf

__all__ = ["ModelSpec", "OffTheShelf", "load_model"]
