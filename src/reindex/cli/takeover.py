"""`reindex adopt` and `reindex doctor`: collections that exist, ours and other people's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reindex.cli.app import exit_with, json_option, main
from reindex.cli.output import emit_json, table

if TYPE_CHECKING:
    from reindex.corpus.frameworks import StoredText
    from reindex.inspection.findings import Diagnosis
    from reindex.project import Project
    from reindex.stages.adopting import Adopted, AdoptionRequest

ONE_LINE = {
    "langchain": "docs = [Document(**hit.payload) for hit in retriever.search(query, k=4)]",
    "llamaindex": "nodes = [metadata_dict_to_node(hit.payload) for hit in "
    "retriever.search(query, k=4)]",
    "haystack": "docs = [Document.from_dict(hit.payload) for hit in retriever.search(query, k=4)]",
    "plain": "hits = retriever.search(query, k=4)",
}
"""What an application writes in place of its own similarity search."""


PRESETS = ("plain", "langchain", "llamaindex", "haystack")
COLOURS = {"error": "red", "warning": "yellow", "info": "blue"}


@main.command()
@click.argument("collection")
@click.option("--model", required=True, help="What made it: Hub id, folder, package:NAME, or v1.")
@click.option("--vector", help='Name of the dense vector, "" for the unnamed one.')
@click.option("--payload", type=click.Choice(PRESETS), help="Whose payloads. Unset: found out.")
@click.option("--text-key", multiple=True, help="Payload field that was embedded; several join.")
@click.option("--document-prompt", default="", help="What the app puts before documents.")
@click.option("--query-prompt", default="", help="What the app puts before queries.")
@click.option("--max-length", type=int, help="Tokens per text. Unset: the model's own.")
@click.option("--sample", default=100, show_default=True, help="Points to embed again.")
@click.option(
    "--min-agreement", default=0.95, show_default=True, help="Share of them that must agree."
)
@click.option("--alias", help="In a new project: the alias. Unset: <collection>-live.")
@click.option("--url", help="In a new project: the Qdrant server.", envvar="QDRANT_URL")
@json_option
@click.pass_context
def adopt(
    ctx: click.Context, /, alias: str | None, url: str | None, as_json: bool, **given: Any
) -> None:
    """Take over a collection of LangChain, LlamaIndex, Haystack or your own as the live version.

    Embeds a sample again to verify the model; refuses with figures if it is another one. Writes
    nothing into the points. Where there is no project yet, makes one for this collection.
    """
    from reindex.cli.progress import ProgressBars

    request = _request(given)
    with ProgressBars() as bars, _project(ctx.obj, request, bars, url=url, alias=alias) as project:
        done = project.adopt(request)
        if as_json:
            emit_json(done)
        else:
            show_adopted(project, done)


def _request(given: dict[str, Any]) -> AdoptionRequest:
    from reindex.stages.adopting import AdoptionRequest

    preset, fields = given.pop("payload"), given.pop("text_key")
    if not 0 < given["min_agreement"] <= 1 or given["sample"] < 1:
        raise click.UsageError("--min-agreement is a share above 0; --sample at least 1.")
    return AdoptionRequest(**given, text=_text(preset, fields))


def _text(preset: str | None, fields: tuple[str, ...]) -> StoredText | None:
    from reindex.corpus.frameworks import StoredText

    return StoredText(preset or "plain", fields) if preset or fields else None


def config_file(config: Path) -> Path:
    """The file that ``--config`` means."""
    from reindex.config import CONFIG_NAME

    return config if config.suffix == ".toml" else config / CONFIG_NAME


def _project(
    config: Path, request: AdoptionRequest, progress: Any, *, url: str | None, alias: str | None
) -> Any:
    """The project that is there, or a new one for this collection."""
    from reindex.project import Project, open_project

    file = config_file(config)
    if not file.exists():
        return Project.for_collection(
            file.parent, request, url=url or "http://localhost:6333", alias=alias,
            progress=progress,
        )  # fmt: skip
    project = open_project(file, progress=progress)
    if alias not in (None, project.settings.alias):
        project.close()
        raise click.UsageError(
            f"This project's alias is {project.settings.alias!r}. To change it, set "
            f'alias = "{alias}" under [project] in {file}.'
        )
    return project


def show_adopted(project: Project, done: Adopted) -> None:
    """The evidence, and what the application must change."""
    found = done.adoption
    rows = [
        ["version", f"{done.version.name} ({done.version.base})"],
        ["vector", f"{found.vector!r}" if found.vector else "the unnamed one"],
        ["text", str(done.agreement.text)],
        ["agreement", done.agreement.figures],
        ["vectors are those of", f"the {found.graph} graph; queries are embedded by int8"],
        ["alias", f"{done.alias} -> {found.collection}"],
    ]
    if done.unowned:
        rows.append(["other vectors", f"{', '.join(done.unowned)}: not touched"])
    table([found.collection, ""], rows)
    if done.promotion is None:
        click.echo(f"{found.collection} was live already.")
    click.echo("What your app changes, one line: its search. It gets its retriever by")
    click.echo('  retriever = reindex.open("reindex.toml").retriever()')
    click.echo(f"  {ONE_LINE[done.agreement.text.preset]}")
    click.echo(
        f"Until then it goes on as it is, with the collection's name {found.collection!r}. Code "
        f"with an encoder of its own must never use the alias {done.alias!r}: after a flip it "
        "would search and write another model's vectors."
    )
    if done.config:
        click.echo(f"To build the next version from it, {project.settings.root} needs:")
        for line in done.config:
            click.echo(f"  {line}")
    click.echo("Next: reindex doctor, then reindex train, export, build, compare, promote")


@main.command()
@click.argument("collection", required=False)
@click.option("--model", help="What may have made it: a version, Hub id, folder or package:NAME.")
@click.option("--vector", help='Name of the dense vector, "" for the unnamed one.')
@click.option("--payload", type=click.Choice(PRESETS), help="Whose payloads. Unset: found out.")
@click.option("--text-key", multiple=True, help="Payload field that was embedded; several join.")
@click.option("--sample", default=100, show_default=True, help="Points to embed again; 0: none.")
@click.option("--limit", type=click.IntRange(min=1), help="Look at so many random points only.")
@click.option("--url", help="Without a project: the Qdrant server.", envvar="QDRANT_URL")
@click.option(
    "--fail-on", type=click.Choice(["error", "warning", "info", "never"]), default="error",
    show_default=True, help="Exit with 3 if something at least this grave is found.",
)  # fmt: skip
@json_option
@click.pass_context
def doctor(
    ctx: click.Context, /, collection: str | None, payload: str | None,
    text_key: tuple[str, ...], url: str | None, fail_on: str, as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Look at a collection, ours or somebody else's. Reads only. Without a name: the live one.

    Vectors that are missing, zero, NaN, un-normalised or of another model; points without text,
    stale or unstamped; payload indexes, sizes, alias and registry, and what the server can do.
    """
    from reindex.cli.progress import ProgressBars
    from reindex.project import Project, open_project
    from reindex.stages.examining import Examination

    asked = Examination(collection, text=_text(payload, text_key), **given)
    file = config_file(ctx.obj)
    with ProgressBars() as bars:
        opened: Any
        if url is not None and not file.exists():
            opened = Project.on_server(url, progress=bars)
        else:
            opened = open_project(ctx.obj, progress=bars)
        with opened as project:
            found = project.doctor(asked)
    if as_json:
        emit_json(found)
    else:
        show_diagnosis(found)
    if found.reaches(fail_on):
        exit_with("fail")


def show_diagnosis(found: Diagnosis) -> None:
    """The facts, then the findings."""
    if found.facts:
        table([found.collection, ""], [[name, str(value)] for name, value in found.facts.items()])
    if found.looked_at < found.points:
        click.echo(f"Looked at {found.looked_at:,} of {found.points:,} points.")
    if not found.findings:
        click.secho("Nothing found.", fg="green")
    for finding in found.findings:
        click.secho(f"{finding.severity}: {finding.check}", fg=COLOURS[finding.severity], bold=True)
        click.echo(f"  {finding.message}")
        if finding.examples:
            click.echo(f"  For example: {', '.join(map(str, finding.examples))}")
        if finding.advice:
            click.echo(f"  -> {finding.advice}")
