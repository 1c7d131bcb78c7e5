"""Artifacts on their way: pushed to a folder, object storage or a hub, fetched, and checked."""

from reindex.transport.address import open_place
from reindex.transport.fetch import Fetched, Wish, fetch
from reindex.transport.package import Package, Pushed, push_artifact

__all__ = ["Fetched", "Package", "Pushed", "Wish", "fetch", "open_place", "push_artifact"]
