"""Reports as files, whole or not there."""

from __future__ import annotations

from pathlib import Path

from reindex.errors import ReindexError
from reindex.report.gather import Report
from reindex.report.junit import junit
from reindex.report.page import render


def write_page(report: Report, path: Path) -> None:
    """Write the HTML page. Raises ReindexError where that fails."""
    _write(path, render(report))


def write_junit(report: Report, path: Path) -> None:
    """Write the JUnit file. Raises ReindexError where that fails."""
    _write(path, junit(report))


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, "utf-8", "replace")  # lone surrogates of a document become marks
        part.replace(path)
    except OSError as error:
        raise ReindexError(f"{path} cannot be written: {error.strerror or error}.") from None
