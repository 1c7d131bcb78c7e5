"""The rooms import one way, and heavy libraries stay where they belong."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import reindex

ROOT = Path(reindex.__file__).parent

RANKS = {
    "errors": 0, "processes": 0, "diskspace": 1, "plain": 1, "pacing": 1,
    "prompts": 1,
    "records": 1, "losses": 1, "webhooks": 1, "measures": 1, "protocols": 2,
    "point_ids": 2, "pages": 2,
    "config": 3, "vector_cache": 3, "artifact": 2, "writes": 2, "registry": 4,
    "corpus": 4, "encoder": 4, "stores": 5, "transport": 5,
    "training": 5, "build": 5, "retriever": 5, "forecast": 2, "sizing": 3,
    "export": 6, "evaluation": 6, "synthesis": 7, "testing": 6, "distributed": 6, "inspection": 6,
    "rollout": 6, "mining": 7, "torch_encoder": 7, "advice": 7, "gate": 7, "datasets": 7,
    "promotion": 8, "workspace": 9,
    "off_the_shelf": 7, "searcher": 6,
    "report": 9, "owner": 10, "indexing": 10, "stages": 11, "decisions": 12, "making": 13,
    "project": 14, "connection": 15, "server": 15, "tools": 16, "cli": 17,
    "__main__": 18,
}  # fmt: skip
"""A module may import modules of its own name or of a lower rank."""

ONLY_IN = {
    "sqlite_utils": {"registry.file"},
    "sqlalchemy": {"corpus.sql"},
    "watchfiles": {"stages.watching"},
    "qdrant_client": {"stores.server", "stores.retry"},
    "torch": {"training", "export", "torch_encoder"},
    "sentence_transformers": {"training", "export"},
    "transformers": {"training", "export"},
    "optimum": {"export"},
    "onnxruntime": {"encoder", "export"},
    "click": {"cli"},
    "PIL": {"encoder.images", "corpus.images"},
    "rich": {"cli"},
    "optuna": {"training"},
    "bm25s": {"evaluation"},
    "faiss": {"stores.faiss"},
    "ir_measures": {"evaluation"},
    "pytest": {"testing"},
    "ray": {"distributed"},
    "fastapi": {"server"},
    "starlette": {"server"},
    "uvicorn": {"server"},
    "prometheus_client": {"server"},
    "httpx": {"connection", "synthesis", "stores.retry"},
    "fsspec": {"transport.places"},
    "huggingface_hub": {"transport.hub"},
    "mcp": {"tools"},
    "mcp_types": {"tools"},
    "jinja2": {"report", "server.dashboard"},
    "markupsafe": {"report"},
}
"""External package -> the rooms, or modules, that may import it."""

HEAVY = ("torch", "transformers", "sentence_transformers", "optimum", "datasets", "sklearn")


def modules() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(ROOT.rglob("*.py")):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), ast.parse(file.read_text("utf-8"))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{item.name}" for item in node.names)


def room(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def within(module: str, place: str) -> bool:
    """Whether a module is ``place``, or lies in it, or is a part of it split off by name."""
    return module == place or module.startswith((f"{place}.", f"{place}_"))


def test_every_module_has_a_rank() -> None:
    unranked = {name for name, _ in modules() if room(name) not in RANKS}
    assert unranked <= {"__init__", ""}, unranked


def test_imports_point_one_way() -> None:
    wrong = []
    for name, tree in modules():
        if name == "__init__":
            continue
        for target in imports(tree):
            if not target.startswith("reindex."):
                continue
            other = room(target.removeprefix("reindex."))
            own = room(name)
            if other in RANKS and other != own and RANKS[other] >= RANKS[own]:
                wrong.append(f"{name} -> {target}")
    assert not wrong, "\n".join(wrong)


def test_external_packages_stay_in_their_rooms() -> None:
    wrong = []
    for name, tree in modules():
        for target in imports(tree):
            allowed = ONLY_IN.get(target.split(".")[0])
            if allowed is not None and not any(within(name, place) for place in allowed):
                wrong.append(f"{name} -> {target}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "module",
    ["reindex.cli", "reindex.retriever", "reindex.stores", "reindex.encoder", "reindex.promotion",
     "reindex.build", "reindex.project", "reindex.connection.http", "reindex.connection.local"],
)  # fmt: skip
def test_serving_and_operating_load_no_training_library(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_loads_click_and_little_else() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from reindex.cli import main;"
        "r = CliRunner().invoke(main, ['--help']); assert r.exit_code == 0, r.output;"
        "heavy = ('numpy', 'pydantic', 'rich', 'onnxruntime', 'qdrant_client', 'sqlite_utils');"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_module_is_longer_than_400_lines() -> None:
    long = {
        str(file.relative_to(ROOT)): lines
        for file in ROOT.rglob("*.py")
        if (lines := len(file.read_text("utf-8").splitlines())) > 400
    }
    assert not long
