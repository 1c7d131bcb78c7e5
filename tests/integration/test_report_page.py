"""The report in a real browser: nothing breaks, nothing leaves, nothing sticks out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from reindex.corpus.judgements import read_query_texts
from reindex.report.files import write_page
from tests.browser import Browser, browser, find_browser
from tests.copying import copy_project
from tests.help_centre import HelpProject

pytestmark = pytest.mark.skipif(find_browser() is None, reason="needs Chromium (or Chrome)")

CHECKS = (Path(__file__).parents[1] / "report_checks.js").read_text("utf-8")
HEADINGS = "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(e => +e.tagName[1])"


@pytest.fixture(scope="module")
def pages(
    tmp_path_factory: pytest.TempPathFactory, help_centre: Path, everything: Path
) -> dict[str, Path]:
    """A judged report, an unjudged one, and one with every section."""
    folder = tmp_path_factory.mktemp("pages")
    long = "https://example.invalid/" + "very-long-word-without-a-break" * 12
    log = folder / "log.txt"
    log.write_text(f"How do I get rid of my bill?\n{long}\nHow do I send my plan?\n")
    with HelpProject.open(copy_project(help_centre, folder / "project")) as project:
        write_page(project.report("v2"), folder / "judged.html")
        project.registry.execute("DELETE FROM comparison_scores")
        project.registry.execute("DELETE FROM comparison_results")
        project.registry.execute("DELETE FROM comparisons")
        project.compare_unjudged("v2", read_query_texts(log))
        write_page(project.report("v2"), folder / "unjudged.html")
    with HelpProject.open(everything) as project:
        write_page(project.report("v2"), folder / "everything.html")
    return {name: folder / f"{name}.html" for name in ("judged", "unjudged", "everything")}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("name", ["judged", "unjudged", "everything"])
def test_nothing_is_complained_of_asked_for_or_sticks_out(
    chromium: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    chromium.open(pages[name], width=width)
    chromium.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert chromium.evaluate(f"{CHECKS}; stickingOut()") == []
    assert chromium.complaints == []
    assert chromium.requests == [pages[name].resolve().as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(
    chromium: Browser, pages: dict[str, Path], scheme: str
) -> None:
    for page in pages.values():
        chromium.open(page, scheme=scheme)
        chromium.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
        assert chromium.evaluate(f"{CHECKS}; lowContrast()") == []


def test_dark_is_dark_and_print_is_light(chromium: Browser, pages: dict[str, Path]) -> None:
    def ground(**how: Any) -> list[int]:
        chromium.open(pages["judged"], **how)
        return [int(part) for part in chromium.evaluate(
            "getComputedStyle(document.body).backgroundColor.match(/\\d+/g)")]  # fmt: skip

    assert min(ground(scheme="light")) > 200
    light = chromium.screenshot()
    assert max(ground(scheme="dark")) < 60
    assert chromium.screenshot() != light
    assert ground(scheme="dark", media="print") == [255, 255, 255]


def test_it_prints_on_a_few_pages(chromium: Browser, pages: dict[str, Path]) -> None:
    chromium.open(pages["judged"])
    printed = chromium.pdf()
    assert printed.startswith(b"%PDF")
    assert 3 <= printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") <= 14


def test_who_cannot_see_it_is_told(chromium: Browser, pages: dict[str, Path]) -> None:
    """One h1, no level skipped; every table has a caption, every drawing a name."""
    for page in pages.values():
        chromium.open(page)
        levels = chromium.evaluate(HEADINGS)
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert chromium.evaluate(
            "[...document.querySelectorAll('table')].every(t => t.caption && t.caption.textContent)"
        )
        assert chromium.evaluate(
            "[...document.querySelectorAll('svg')].every(s => s.getAttribute('aria-hidden') || "
            "(s.getAttribute('role') === 'img' && s.getAttribute('aria-label').length > 20))"
        )
        assert chromium.evaluate("document.documentElement.lang") == "en"
