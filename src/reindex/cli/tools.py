"""`reindex mcp`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reindex.cli.app import main, terminable

if TYPE_CHECKING:
    from reindex.connection import Connection


@main.command()
@click.option(
    "--url", envvar="REINDEX_URL", metavar="URL",
    help="A `reindex serve`; REINDEX_API_KEY is its key. Or qdrant+http://HOST/ALIAS?artifacts=…, "
    "without a registry. [default: the project of --config, here]",
)  # fmt: skip
@click.option("--http", is_flag=True, help="Listen for clients over HTTP instead of stdio.")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --http: the address.")
@click.option("--port", default=8081, show_default=True, help="With --http: the port.")
@click.pass_obj
def mcp(config: Path, url: str | None, http: bool, host: str, port: int) -> None:
    """Be a server of the Model Context Protocol: search and status as tools for agents.

    Over stdio: the agent's program starts it and ends it. The tools only read. While a project
    with the embedded store is open here, other terminals' commands run in here.
    """
    from reindex.errors import MissingExtra

    try:
        from reindex.tools import make_tools
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("mcp", "mcp_types"):
            raise MissingExtra("mcp", error.name) from error
        raise
    with terminable(), _connected(config, url) as connection:
        tools = make_tools(connection)
        if http:
            click.echo(f"Tools at http://{host}:{port}/mcp", err=True)
            tools.run("streamable-http", host=host, port=port)
        else:
            tools.run("stdio")


@contextlib.contextmanager
def _connected(config: Path, url: str | None) -> Iterator[Connection]:
    """To the server, or to the project; as the owner of its store, unless there is one."""
    import reindex

    if url is not None:
        with reindex.connect(url) as connection:
            yield connection
        return
    from reindex.project import open_project

    with contextlib.ExitStack() as stack:
        project = stack.enter_context(open_project(config))
        if project.settings.store.kind != "server" and project.other_owner() is None:
            stack.enter_context(project.own(log=lambda line: click.echo(line, err=True)))
        yield stack.enter_context(reindex.connect(project))
