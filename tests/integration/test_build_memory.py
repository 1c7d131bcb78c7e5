"""A million documents into the embedded store: memory stays where it was with a few."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "build_memory.py"


@pytest.mark.parametrize(
    "documents",
    [10_000, pytest.param(1_000_000, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])],
)
def test_anonymous_memory_stays_under_the_bar(documents: int) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells anonymous memory apart")
    run = subprocess.run(
        [sys.executable, str(BENCHMARK), "--documents", str(documents)],
        check=False,
        capture_output=True,
        text=True,
    )
    print(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
    peaks = re.findall(r"^(\w+) +\d+ MB anonymous at most .*; ([\d,]+) points", run.stdout, re.M)
    assert peaks == [(label, f"{documents:,}") for label in ("build", "unchanged")]
