"""The wheel holds what the package needs: the migrations, the marker for type checkers."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(ROOT.glob("plugins/*/pyproject.toml"))


def copy_of_the_project(folder: Path) -> Path:
    """Building leaves files beside the sources; not beside ours."""
    copy = folder / "project"
    for part in ("src", "migrations"):
        leave_out = shutil.ignore_patterns("*.egg-info", "__pycache__")
        shutil.copytree(ROOT / part, copy / part, ignore=leave_out)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy / file)
    return copy


def built(source: Path, folder: Path) -> set[str]:
    """What is in a distribution's wheel."""
    pytest.importorskip("setuptools", minversion="77", reason="builds a wheel without a network")
    copy = folder / source.name
    shutil.copytree(
        source, copy, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__", "build")
    )
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", folder, copy], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.slow
@pytest.mark.parametrize("name", [folder.parent.name for folder in PLUGINS])
def test_a_plugin_s_wheel_holds_its_packages_and_leaves_the_namespaces_alone(
    name: str, tmp_path: Path
) -> None:
    names = built(ROOT / "plugins" / name, tmp_path)
    assert any(item.endswith(".dist-info/licenses/LICENSE") for item in names)
    packages = {str(Path(item).parent) for item in names if item.endswith("__init__.py")}
    assert packages
    for package in packages:
        assert "reindex" in Path(package).name, "a namespace is everybody's"
        assert f"{package}/py.typed" in names
    known = tomllib.loads((ROOT / "plugins" / name / "pyproject.toml").read_text("utf-8"))
    given = known["tool"]["setuptools"].get("packages")
    if isinstance(given, list):
        assert packages == {item.replace(".", "/") for item in given}


def test_the_wheel_ships_migrations_and_opens_a_registry(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77", reason="builds a wheel without a network")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", tmp_path, copy_of_the_project(tmp_path)], check=True)
    (wheel,) = tmp_path.glob("reindex-*.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(unpacked)
    assert {"reindex/py.typed", "reindex/migrations/0001_initial.sql"} <= names
    templates = {f"reindex/report/templates/report.{ending}" for ending in ("html", "css")}
    assert templates <= names
    sources = {
        str(file.relative_to(ROOT / "src")) for file in (ROOT / "src" / "reindex").rglob("*.py")
    }
    shipped = {name for name in names if name.endswith(".py") and "/migrations/" not in name}
    assert shipped == sources
    code = (
        "import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f)];"
        f"sys.path.insert(0, {str(unpacked)!r});"
        "import pathlib, reindex; from reindex.registry import Registry;"
        f"assert reindex.__file__.startswith({str(unpacked)!r}), reindex.__file__;"
        f"print(Registry(pathlib.Path({str(tmp_path / 'r.db')!r}), create=True).versions())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
