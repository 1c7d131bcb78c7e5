"""Takes the report's pictures in docs/: a project of made-up articles, in headless Chromium.

    python docs/screenshots.py

Run it from anywhere; it needs Chromium and takes some seconds.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

from tests.browser import browser  # noqa: E402
from tests.help_centre import compared  # noqa: E402

from reindex.report.files import write_page  # noqa: E402

NOTE = "Made-up articles and questions: they show the page, not how well a model does."
PICTURES = (("report-light", "light", "header"), ("report-dark", "dark", ".charts"),
            ("report-examples", "light", ".examples"))  # fmt: skip
"""File, colour scheme, and the part of the page that the picture begins at."""


HEIGHTS = {"header": 1305, ".charts": 740, ".examples": 640}


def main() -> None:
    """Build, compare, report, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        project = Path(folder) / "project"
        project.mkdir()
        with compared(project, note=NOTE) as made:
            write_page(made.report("v2"), page)
        with browser() as opened:
            for name, scheme, part in PICTURES:
                opened.open(page, width=1180, scheme=scheme)
                opened.resize(1180, HEIGHTS[part])
                opened.evaluate(f"document.querySelector({part!r}).scrollIntoView()")
                (DOCS / f"{name}.png").write_bytes(opened.screenshot())


if __name__ == "__main__":
    main()
