"""The dashboard: pages made here, with one style sheet and one small script of our own."""

from reindex.server.dashboard.pages import router

__all__ = ["router"]
