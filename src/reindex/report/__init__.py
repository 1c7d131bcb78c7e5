"""A version's report: one HTML page, JSON, and JUnit for CI. Reads the registry alone."""

from reindex.report.gather import Report, gather

__all__ = ["Report", "gather"]
