"""`reindex serve` and `reindex keys`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json, moment, table

if TYPE_CHECKING:
    from reindex.project import Project


@main.command()
@click.option("--host", help="Address to listen at.  [default: server.host]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port.  [default: server.port]")
@with_project
def serve(project: Project, host: str | None, port: int | None) -> None:
    """Serve search, embeddings, documents and decisions over HTTP, until Ctrl-C or SIGTERM.

    Owns the embedded store meanwhile: other terminals' commands run in here. Searching needs no
    key unless server.open_reading is off; writing and operating always do, see `reindex keys`.
    """
    from reindex.errors import MissingExtra

    try:
        from reindex.server.logs import log_as_json
        from reindex.server.serving import serve as run
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("fastapi", "uvicorn", "prometheus_client"):
            raise MissingExtra("serve", error.name) from error
        raise
    changes: dict[str, Any] = {"host": host, "port": port}
    changes = {name: value for name, value in changes.items() if value is not None}
    server = project.settings.server.model_copy(update=changes)
    project.settings = project.settings.model_copy(update={"server": server})
    log_as_json()
    run(project, tell=lambda line: click.echo(line, err=True))


@main.group()
def keys() -> None:
    """Keys of the HTTP server: who may write and operate. Only their hashes are kept."""


@keys.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True,
    help="search, read, write or operate. Can be given several times.",
)  # fmt: skip
@json_option
@with_project
def add(project: Project, name: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Make a key and print it, once. NAME stands in the history of what it does."""
    from reindex.promotion import operator
    from reindex.registry.api_keys import ApiKeys

    key = ApiKeys(project.registry).add(name, scopes, operator())
    if as_json:
        emit_json({"name": name, "scopes": sorted(set(scopes)), "key": key})
        return
    click.echo(key)
    click.echo("Keep it now: it is shown this once, and only its hash is stored.", err=True)


@keys.command("list")
@json_option
@with_project
def list_keys(project: Project, as_json: bool) -> None:
    """All keys, also revoked ones."""
    from reindex.registry.api_keys import ApiKeys

    found = ApiKeys(project.registry).all()
    if as_json:
        emit_json({"keys": found})
        return
    rows = [
        [item.name, ", ".join(item.scopes), item.who, moment(item.created_at),
         moment(item.revoked_at)]
        for item in found
    ]  # fmt: skip
    table(["key", "scopes", "made by", "at (UTC)", "revoked"], rows)


@keys.command()
@click.argument("name")
@with_project
def revoke(project: Project, name: str) -> None:
    """From now on the key NAME opens nothing."""
    from reindex.registry.api_keys import ApiKeys

    key = ApiKeys(project.registry).revoke(name)
    click.echo(f"{key.name} is revoked since {moment(key.revoked_at)} (UTC).")
