"""The docs say what the code does."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import click
import pytest

from reindex.cli import main

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
STAGES = ("corpus", "training", "losses", "export", "encoder", "stores", "build", "comparison",
          "promotion", "retrieval", "rollout", "registry", "demo", "sync", "owner",
          "operating", "server", "deploying")  # fmt: skip


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["configuration", "commands", "scale", "losses"])
def test_the_reference_pages_are_what_the_code_says(generate: ModuleType, page: str) -> None:
    written = (DOCS / f"{page}.md").read_text("utf-8")
    assert written == getattr(generate, page)(), "run: python docs/generate.py"


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_page_that_the_index_names(stage: str) -> None:
    assert (DOCS / f"{stage}.md").exists()
    assert f"({stage}.md)" in (DOCS / "README.md").read_text("utf-8")


@pytest.mark.parametrize("file", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=str)
def test_links_between_pages_lead_somewhere(file: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", file.read_text("utf-8")):
        if "://" not in target:
            assert (file.parent / target).exists(), target


@pytest.mark.parametrize("file", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=str)
def test_commands_in_the_docs_exist(file: Path) -> None:
    for name in re.findall(
        r"(?:^|`|\n) *reindex (?:-c \S+ )?([a-z][a-z-]+)", file.read_text("utf-8")
    ):
        assert name in main.commands, f"{file.name}: reindex {name}"


def test_every_command_and_option_has_help() -> None:
    for name, command in main.commands.items():
        assert command.help, name
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name} {option.opts}"


def test_the_readme_names_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert "make demo" in text
    assert "make test" in text
