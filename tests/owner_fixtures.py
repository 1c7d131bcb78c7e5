"""Owner and client processes over hash encoders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from reindex.config import load_settings
from reindex.registry import REGISTRY_NAME, Registry
from reindex.registry.owners import OwnerBook, OwnerRecord

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0
"""Seconds after which a test gives up; never waited for in full unless something is wrong."""

T = TypeVar("T")


def until(look: Callable[[], T | None], what: str) -> T:
    """Look again and again until there is something; the test fails where it never comes."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {PATIENCE:g} s")


def start(folder: Path, *arguments: str, pace: float = 0) -> subprocess.Popen[str]:
    """A `reindex` command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.hash_cli", "-c", str(folder), *arguments],
        cwd=ROOT, env={**os.environ, "REINDEX_TEST_PACE": str(pace)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(folder: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    """Run a `reindex` command in a process of its own; its exit code must be ``code``."""
    with start(folder, *arguments) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, err
    return out, err


def run_json(folder: Path, *arguments: str, code: int = 0) -> Any:
    """Run a command with ``--json`` and read its one document."""
    return json.loads(run(folder, *arguments, "--json", code=code)[0])


def recorded(folder: Path) -> OwnerRecord | None:
    """The owner's row as it stands."""
    registry = Registry(load_settings(folder).home / REGISTRY_NAME)
    try:
        return OwnerBook(registry).current()
    finally:
        registry.close()


class OwnerProcess:
    """`reindex own` in a process of its own; killed at the end if it still runs."""

    def __init__(self, folder: Path, *, pace: float = 0) -> None:
        self.folder = folder
        self.process = start(folder, "own", pace=pace)

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("Owner of"):
            self.process.kill()
            raise AssertionError(self.process.communicate()[1])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def pid(self) -> int:
        return self.process.pid

    def end(self) -> str:
        """Ask it to end; what it logged."""
        self.process.terminate()
        _, log = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, log
        return log
