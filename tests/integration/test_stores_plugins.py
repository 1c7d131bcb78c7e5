"""The example of docs/stores-plugins.md, as a reader would run it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "stores-plugins.md"


def test_the_documented_store_passes_the_suite(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    named = {re.match(r'"""(\w+\.py)', block).group(1): block for block in blocks}  # type: ignore[union-attr]
    assert set(named) == {"memory_store.py", "test_memory_store.py"}
    for name, code in named.items():
        (tmp_path / name).write_text(code, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    passed, skipped = re.search(r"(\d+) passed, (\d+) skipped", done.stdout).groups()  # type: ignore[union-attr]
    assert int(passed) > 100
    assert int(skipped) < 10  # foreign points and opening again
