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
from tests.help_centre import compared, with_everything  # noqa: E402

from reindex.report.files import write_page  # noqa: E402

NOTE = "Made-up articles and questions: they show the page, not how well a model does."
PICTURES = (
    ("report-light", "light", compared, "header", 1305),
    ("report-dark", "dark", compared, ".charts", 740),
    ("report-examples", "light", compared, ".examples", 640),
    ("report-decided", "light", with_everything, "#several", 1500),
)
"""File, colour scheme, what makes the project, and where the picture begins and how high it is."""


def main() -> None:
    """Build, compare, report, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder, browser() as opened:
        pages: dict[str, Path] = {}
        for name, scheme, make, part, height in PICTURES:
            kind = make.__name__
            if kind not in pages:
                project = Path(folder) / kind
                project.mkdir()
                pages[kind] = Path(folder) / f"{kind}.html"
                with make(project, note=NOTE) as made:
                    write_page(made.report("v2"), pages[kind])
            opened.open(pages[kind], width=1180, scheme=scheme)
            opened.resize(1180, height)
            opened.evaluate(f"document.querySelector({part!r}).scrollIntoView()")
            (DOCS / f"{name}.png").write_bytes(opened.screenshot())


if __name__ == "__main__":
    main()
