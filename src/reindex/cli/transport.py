"""`reindex push` and `reindex pull`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json

if TYPE_CHECKING:
    from reindex.project import Project


@main.command()
@click.argument("version")
@click.argument("address")
@click.option(
    "--graph", "graphs", multiple=True, type=click.Choice(["int8", "fp32"]),
    help="Only this graph; again for several. Unset: all.",
)  # fmt: skip
@click.option("--no-weights", is_flag=True, help="Without safetensors for loaders with torch.")
@click.option(
    "--no-lineage", is_flag=True,
    help="Without hashes of the training queries: a comparison elsewhere cannot tell leaks then.",
)  # fmt: skip
@json_option
@with_project
def push(
    project: Project, version: str, address: str, graphs: tuple[str, ...], no_weights: bool,
    no_lineage: bool, as_json: bool,
) -> None:  # fmt: skip
    """Push a version's artifact: to a folder, s3://… (any fsspec URL), or hf://org/name[@revision].

    Interrupted, it leaves nothing that looks whole, and the same command goes on.
    """
    from reindex.stages.transporting import Load

    load = Load(graphs or None, weights=not no_weights, lineage=not no_lineage)
    pushed = project.push(version, address, load)
    if as_json:
        emit_json(pushed)
        return
    click.echo(
        f"{version} is at {pushed.address}: {pushed.bytes / 1e6:,.0f} MB, graphs "
        f"{', '.join(pushed.graphs)}; {pushed.sent} files sent, {pushed.kept} were there."
    )
    click.echo(f"Digest: sha256:{pushed.digest}")
    click.echo(f"Elsewhere: reindex pull {pushed.address} --digest sha256:{pushed.digest}")


@main.command()
@click.argument("address")
@click.option("--name", help="The version's name here (v7). Unset: the next.")
@click.option("--digest", help="Take no other artifact than this (sha256:…, as push printed it).")
@click.option(
    "--max-gb", type=click.FloatRange(min=0, min_open=True), default=20.0, show_default=True,
    help="Refuse what is larger.",
)  # fmt: skip
@json_option
@with_project
def pull(
    project: Project, address: str, name: str | None, digest: str | None, max_gb: float,
    as_json: bool,
) -> None:  # fmt: skip
    """Fetch an artifact that was pushed, verify every file of it, and register it as a version."""
    from reindex.transport import Wish

    wish = Wish(digest=digest, largest=int(max_gb * 1e9))
    pulled = project.pull(address, name=name, wish=wish)
    version = pulled.version
    if as_json:
        emit_json(pulled)
        return
    if not pulled.new:
        click.echo(f"{pulled.origin} is {version.name} here already.")
        return
    click.echo(f"{version.name}: {version.base}, {version.dim} dimensions, from {pulled.origin}")
    click.echo(f"Digest: sha256:{pulled.digest}")
    click.echo(f"Next: reindex build {version.name}")
