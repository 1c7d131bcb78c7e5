"""What the components share: how they reach reindex."""

from haystack_integrations.common.reindex.link import Link

__all__ = ["Link"]
