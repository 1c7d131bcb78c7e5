"""Takes the pictures in docs/ of report and dashboard: made-up articles, in headless Chromium.

    python docs/screenshots.py

Run it from anywhere; it needs Chromium and takes some seconds.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

from tests.browser import Browser, browser  # noqa: E402
from tests.help_centre import add_twin, compared, with_everything  # noqa: E402
from tests.http_fixtures import listening  # noqa: E402

from reindex.registry.api_keys import ApiKeys  # noqa: E402
from reindex.report.files import write_page  # noqa: E402
from reindex.server.app import make_app  # noqa: E402

NOTE = "Made-up articles and questions: they show the page, not how well a model does."
PICTURES = (
    ("report-light", "light", compared, "header", 1305),
    ("report-dark", "dark", compared, ".charts", 740),
    ("report-examples", "light", compared, ".examples", 640),
    ("report-decided", "light", with_everything, "#several", 1500),
)
"""File, colour scheme, what makes the project, and where the picture begins and how high it is."""

SCREENS = (
    ("dashboard-light", "light", "/", 900),
    ("dashboard-dark", "dark", "/", 900),
    ("dashboard-comparison", "light", "/ui/comparisons/1", 1180),
    ("dashboard-comparison-dark", "dark", "/ui/comparisons/1", 1180),
    ("dashboard-search", "light", "/ui/search?q=How+do+I+recover+my+pattern%3F&beside=v2", 960),
    ("dashboard-promote", "light", "/ui/versions/v2/promote", 960),
)
"""File, colour scheme, page, and how high the picture is at most."""


def dashboard(opened: Browser, folder: Path) -> None:
    """A project that went forth and back once, with a third version."""
    with compared(folder) as project:
        project.promote("v2")
        project.rollback(reason="readers miss the old results for alerts")
        add_twin(project)
        secret = ApiKeys(project.registry).add("ann", ["operate"], "ann")
        with listening(make_app(project)) as address:
            opened.open(f"{address}/ui/login")
            opened.type("#key", secret)
            opened.click("main button")
            for name, scheme, page, height in SCREENS:
                opened.open(address + page, width=1180, scheme=scheme)
                whole = opened.evaluate("document.documentElement.scrollHeight")
                opened.resize(1180, min(height, whole))
                (DOCS / f"{name}.png").write_bytes(opened.screenshot())


def main() -> None:
    """Build, compare, report, and take the pictures."""
    os.environ["LOGNAME"] = "ann"  # who did all this
    with tempfile.TemporaryDirectory() as folder, browser() as opened:
        (Path(folder) / "dashboard").mkdir()
        dashboard(opened, Path(folder) / "dashboard")
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
