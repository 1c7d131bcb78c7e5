"""docs/threat-model.md names tests: each of them exists, and every row names one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/threat-model.md").read_text("utf-8")


def names_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
            and node.name.startswith("test_")}  # fmt: skip


def named() -> list[tuple[str, str]]:
    return re.findall(r"`((?:unit|integration)/test_\w+\.py)::(test_\w+)`", PAGE)


def test_every_test_that_the_page_names_exists() -> None:
    assert len(named()) > 40
    known = {file: names_in(ROOT / "tests" / file) for file, _ in named()}
    assert not [f"{file}::{name}" for file, name in named() if name not in known[file]]


def test_every_attack_names_what_stops_it_and_a_test() -> None:
    attacks = PAGE.partition("## Attacks")[2].partition("## Not covered")[0]
    rows = [line for line in attacks.splitlines() if re.match(r"\| (?!attack|---)[^|]", line)]
    assert len(rows) > 25
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 3, row
        assert all(cells), row
        assert "::test_" in cells[2], row
