"""Headless Chromium over its debugging pipe: what a page does, how it lies, how it looks.

The standard library is enough: one JSON message after another, a zero byte between them, on file
descriptors 3 and 4 of the browser.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

CANDIDATES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--no-first-run",
    "--disable-default-apps", "--disable-sync", "--hide-scrollbars", "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)  # fmt: skip


def find_browser() -> str | None:
    """Chromium's program, or None where there is none."""
    return next(filter(None, map(shutil.which, CANDIDATES)), None)


_LAUNCH = """
import fcntl, os, sys
high = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 20) for number in sys.argv[1:3]]
os.dup2(high[0], 3)
os.dup2(high[1], 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """A running browser with one page."""

    def __init__(self, reading: int, writing: int) -> None:
        self._in, self._out = os.fdopen(reading, "rb", 0), os.fdopen(writing, "wb", 0)
        self._buffer, self._number = b"", 0
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        found = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": found["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def close(self) -> None:
        """Release the pipe; the browser ends by it."""
        self._out.close()
        self._in.close()

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command to the page."""
        return self.send(method, session=self._session, **parameters)

    def send(
        self, method: str, *, session: Mapping[str, str] | None = None, **parameters: Any
    ) -> dict[str, Any]:
        """A command and its answer; what happened meanwhile goes to ``events``."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **(session or {})}
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                found: dict[str, Any] = answer["result"]
                return found
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            chunk = self._in.read(1 << 16)
            if not chunk:
                raise RuntimeError("The browser ended.")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        return found

    def open(
        self, page: Path | str, *, width: int = 1400, scheme: str = "light", media: str = ""
    ) -> None:
        """Load a file or an address at a width, in a colour scheme; ``media`` is "print" or the
        screen.
        """
        self.resize(width)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", media=media, features=features)
        self.events.clear()
        self.ask("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        self.wait()

    def wait(self) -> None:
        """Until the page that was asked for is loaded."""
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def click(self, selector: str) -> None:
        """Click on the middle of an element, as a mouse does, and wait for the page it leads to."""
        place = self.evaluate(
            f"(e => (e.scrollIntoView({{block: 'center'}}), e = e.getBoundingClientRect(), "
            f"[e.x + e.width / 2, e.y + e.height / 2]))(document.querySelector({selector!r}))"
        )
        self.events.clear()
        where = {"x": place[0], "y": place[1], "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, **where)
        self.wait()

    def type(self, selector: str, text: str) -> None:
        """Put the focus on a field and write into it."""
        self.evaluate(f"document.querySelector({selector!r}).focus()")
        self.ask("Input.insertText", text=text)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key: its name, its number, and what it writes."""
        given = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **given)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **given)

    def resize(self, width: int, height: int = 900, scale: float = 1) -> None:
        """Another window."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=False,
        )  # fmt: skip

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def screenshot(self, *, whole: bool = False) -> bytes:
        """The window, or the whole page, as PNG."""
        options: dict[str, Any] = {"captureBeyondViewport": whole}
        if whole:
            width = self.evaluate("document.documentElement.clientWidth")
            height = self.evaluate("document.documentElement.scrollHeight")
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            options["clip"] = clip
        found = self.ask("Page.captureScreenshot", format="png", **options)
        return base64.b64decode(found["data"])

    def pdf(self) -> bytes:
        """The page as it prints on A4."""
        found = self.ask("Page.printToPDF", printBackground=True, paperWidth=8.27,
                         paperHeight=11.69, preferCSSPageSize=True)  # fmt: skip
        return base64.b64decode(found["data"])

    @property
    def complaints(self) -> list[str]:
        """Console messages, log entries and exceptions since the page was opened."""
        wanted = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event) for event in self.events if event.get("method") in wanted]

    @property
    def requests(self) -> list[str]:
        """Addresses that the page asked for since it was opened, itself among them."""
        found = [event for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in found]


@contextlib.contextmanager
def browser(program: str | None = None, flags: Sequence[str] = FLAGS) -> Iterator[Browser]:
    """Run a browser as long as the context lasts."""
    to_browser, from_us = os.pipe()
    from_browser, to_us = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, str(to_browser), str(to_us),
             program or find_browser() or "chromium", *flags, f"--user-data-dir={profile}"],
            pass_fds=(to_browser, to_us), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(to_us)
        try:
            opened = Browser(from_browser, from_us)
            try:
                yield opened
            finally:
                opened.close()
        finally:
            process.kill()
            process.wait()
