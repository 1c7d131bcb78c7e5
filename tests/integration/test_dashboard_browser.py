"""The dashboard in a real browser: compare, promote, roll back; by keyboard; without script."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from reindex.registry.api_keys import ApiKeys
from reindex.server.app import make_app
from tests.browser import Browser, browser, find_browser
from tests.copying import copy_project
from tests.help_centre import HelpProject
from tests.http_fixtures import listening
from tests.owner_fixtures import until

pytestmark = pytest.mark.skipif(find_browser() is None, reason="needs Chromium (or Chrome)")

CHECKS = (Path(__file__).parents[1] / "report_checks.js").read_text("utf-8")
PAGES = (
    "/", "/ui/versions/v2", "/ui/comparisons/1", "/ui/comparisons/1/queries/3",
    "/ui/search?q=How+do+I+send+my+plan%3F&beside=v2", "/ui/jobs", "/ui/history", "/ui/login",
    "/ui/versions/v2/promote", "/docs",
)  # fmt: skip
UNNAMED = """[...document.querySelectorAll('input:not([type=hidden]),select,button,a,progress')]
  .filter(e => !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim()))
  .map(e => e.outerHTML)"""
HEADINGS = "[...document.querySelectorAll('h1,h2,h3,h4')].map(e => +e.tagName[1])"
DOUBLED = """[...document.querySelectorAll('[id]')].map(e => e.id)
  .filter((id, place, all) => all.indexOf(id) !== place)"""


@pytest.fixture(scope="module")
def project(help_centre: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HelpProject]:
    folder = copy_project(help_centre, tmp_path_factory.mktemp("dashboard") / "project")
    with HelpProject.open(folder) as project:
        yield project


@pytest.fixture(scope="module")
def secret(project: HelpProject) -> str:
    return ApiKeys(project.registry).add("ann", ["operate"], "nobody@nowhere")


@pytest.fixture(scope="module")
def address(project: HelpProject) -> Iterator[str]:
    with listening(make_app(project)) as address:
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


def path(chromium: Browser) -> str:
    return str(chromium.evaluate("location.pathname"))


def text(chromium: Browser, selector: str = "main") -> str:
    return str(chromium.evaluate(f"document.querySelector({selector!r})?.innerText ?? ''"))


def log_in(chromium: Browser, address: str, secret: str) -> None:
    chromium.open(f"{address}/ui/login")
    chromium.type("#key", secret)
    chromium.click("main button")
    assert path(chromium) == "/"


def done(chromium: Browser, word: str) -> None:
    """The page finds out by itself that the job has ended."""
    until(lambda: word in text(chromium), f"{word!r} on the job's page")


def test_compare_promote_and_roll_back(
    chromium: Browser, address: str, secret: str, project: HelpProject
) -> None:
    chromium.open(address)
    assert "Promote" not in text(chromium)
    log_in(chromium, address, secret)

    chromium.click("#compare-v2")
    assert path(chromium) == "/ui/jobs/1"
    done(chromium, "Look at comparison 2: pass")
    chromium.click("main a.button")
    assert path(chromium) == "/ui/comparisons/2"
    assert "Pass" in text(chromium, ".verdict")
    assert chromium.evaluate("document.querySelectorAll('svg.chart rect.win').length") > 10

    chromium.click("main a.button[href$=promote]")
    assert "Every condition must pass" in text(chromium)
    assert project.live_collection() == "help-centre--v1"  # asking changes nothing
    chromium.type("#reason", "better on bills")
    chromium.click("#confirm")
    done(chromium, "points at help-centre--v2")
    assert project.live_collection() == "help-centre--v2"

    chromium.open(address)
    assert "v2" in text(chromium, ".timeline li.live h3")
    chromium.click("#rollback")
    chromium.type("#reason", "only a try")
    chromium.click("#confirm")
    done(chromium, "points at help-centre--v1")
    assert project.live_collection() == "help-centre--v1"
    flips = [(flip.kind, flip.reason, flip.who.split("@")[0]) for flip in project.history()[:2]]
    assert flips == [
        ("rollback", "only a try", "ann over HTTP"),
        ("promote", "better on bills", "ann over HTTP"),
    ]
    assert chromium.complaints == []  # nothing that the policy on content refused


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (1180, "dark")])
def test_every_page_can_be_read(
    chromium: Browser, address: str, secret: str, width: int, scheme: str
) -> None:
    log_in(chromium, address, secret)
    for page in PAGES:
        chromium.open(address + page, width=width, scheme=scheme)
        found = f"{page} at {width}, {scheme}"
        assert chromium.evaluate("document.documentElement.scrollWidth") <= width, found
        assert chromium.evaluate(f"{CHECKS}; stickingOut()") == [], found
        assert chromium.evaluate(f"{CHECKS}; lowContrast()") == [], found
        assert chromium.evaluate(UNNAMED) == [], found
        assert chromium.evaluate(DOUBLED) == [], found
        levels = chromium.evaluate(HEADINGS)
        assert levels.count(1) == 1, found
        assert all(b <= a + 1 for a, b in pairwise(levels)), found
        assert all(url.startswith((address, "data:")) for url in chromium.requests), found
        loud = [line for line in chromium.complaints if "recommendation" not in line]
        assert loud == [], found


def test_by_keyboard_alone(chromium: Browser, address: str, secret: str) -> None:
    chromium.open(f"{address}/ui/login")
    assert chromium.evaluate("document.activeElement.id") == "key"
    chromium.ask("Input.insertText", text=secret)
    chromium.events.clear()
    chromium.press("Enter", 13, "\r")
    chromium.wait()
    assert path(chromium) == "/"
    chromium.press("Tab", 9)
    assert chromium.evaluate("document.activeElement.textContent") == "Skip to the content"
    chromium.press("Enter", 13, "\r")
    reached = []
    for _ in range(12):
        chromium.press("Tab", 9)
        if chromium.evaluate("document.activeElement === document.body"):
            break  # past the end of the page
        reached.append(chromium.evaluate("document.activeElement.id"))
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert chromium.evaluate(outline) in ("solid", "auto"), reached  # where one is is seen
    assert "compare-v2" in reached
    assert "promote-v2" in reached


def test_without_script(chromium: Browser, address: str, secret: str) -> None:
    log_in(chromium, address, secret)
    chromium.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(f"{address}/ui/search")
        chromium.type("#q", "How do I send my plan?")
        chromium.click("main form button")
        assert "Share a subscription" in text(chromium)
        chromium.open(f"{address}/ui/versions/v2/promote")
        chromium.click("main a.quiet")
        assert path(chromium) == "/"
    finally:
        chromium.ask("Emulation.setScriptExecutionDisabled", value=False)
