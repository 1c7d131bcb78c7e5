"""`reindex init` and `reindex demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reindex.cli.app import json_option, main, project_type
from reindex.cli.model import show_prompts
from reindex.cli.output import emit_json


@main.command()
@click.option("--name", help="Name of the project: its collections are <name>--v1, …")
@click.option("--source", type=Path, help="Documents: a BEIR folder, or a file or glob.")
@click.option(
    "--kind",
    type=click.Choice(["beir", "jsonl", "csv", "parquet", "sql"]),
    help="What the source is.",
)
@click.option("--base", help="Base model: Hub id, local folder, or package:NAME.")
@click.option("--adopt", is_flag=True, help="Also register the base model as v1 (no training).")
@json_option
@click.pass_context
def init(ctx: click.Context, /, adopt: bool, as_json: bool, **given: Any) -> None:
    """Start a project: a commented reindex.toml, the registry, the embedded store.

    In a project that exists, --adopt alone registers a model as its next version.
    """
    project = _start(ctx.obj, given, adopt=adopt)
    with project:
        version = project.adopt_base(given["base"]) if adopt else None
        root = project.settings.root
    if as_json:
        emit_json({"root": root, "version": version})
        return
    click.echo(f"Project {project.settings.project.name!r} in {root}")
    if version is not None:
        click.echo(f"{version.name}: {version.base}")
        show_prompts((version.recipe["query_prompt"], version.recipe["document_prompt"]))
        click.echo(f"Next: reindex export {version.name}")
    else:
        click.echo("Next: edit reindex.toml, then `reindex init --adopt` or `reindex train`")


_KEYS = {
    "name": ("project", "name"),
    "source": ("source", "path"),
    "kind": ("source", "kind"),
    "base": ("train", "base"),
}
"""Option -> section and key that it fills in."""


def _start(config: Path, given: dict[str, Any], *, adopt: bool) -> Any:
    """A new project, or, with ``--adopt`` alone, the one that is there."""
    from reindex.config import CONFIG_NAME, load_settings
    from reindex.project import open_project
    from reindex.registry import REGISTRY_NAME

    folder = config.parent if config.suffix == ".toml" else config
    there = (folder / CONFIG_NAME).exists()
    if there and adopt and given["base"] is not None:
        given = {**given, "base": None}  # the model to adopt, not a key to set
    values: dict[str, dict[str, Any]] = {}
    for option, (section, key) in _KEYS.items():
        if given[option] is not None:
            values.setdefault(section, {})[key] = given[option]
    if there and adopt and not values:
        settings = load_settings(folder)
        if (settings.home / REGISTRY_NAME).exists():
            return open_project(folder)
    return project_type().init(folder, values=values)


@main.command()
@click.argument("folder", type=Path, default=Path("demo"))
@click.option("--documents", default=5000, show_default=True, help="About how many documents.")
@click.option("--pairs", default=3000, show_default=True, help="Training pairs at most.")
def demo(folder: Path, documents: int, pairs: int) -> None:
    """Run the whole loop on the documentation of your own Python packages.

    Takes five to seven minutes on two cores. Needs: pip install 'reindex[demo]'. Afterwards:
    reindex -c FOLDER search "flatten a nested list"
    """
    from reindex.cli.demo import run_demo

    run_demo(folder, documents=documents, pairs=pairs)
