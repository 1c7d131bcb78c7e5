"""`reindex build` and `reindex compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from reindex.cli.amounts import BudgetLimit
from reindex.cli.app import EXIT_CODES, exit_with, json_option, main, with_project
from reindex.cli.output import emit_json, table

if TYPE_CHECKING:
    from reindex.build import BuildReport
    from reindex.evaluation.compare import Comparison
    from reindex.project import Project
    from reindex.registry.ledger import StoredComparison

_ROWS = (
    "documents", "inserted", "updated", "payload_only", "unchanged", "deleted", "embedded",
    "cached", "reused", "dead", "failed", "conflicts", "points",
)  # fmt: skip

BEST_FIRST = ("pass", "inconclusive", "fail")


@main.command()
@click.argument("version")
@click.option("--allow-deletes", is_flag=True, help="Delete even a large share of the collection.")
@click.option(
    "--budget",
    type=BudgetLimit(),
    metavar="TIME|DOCUMENTS",
    help="End after this time (30m, 2h) or so many documents (100000), with everything kept.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where texts are embedded: in this process, or by the workers of a Ray cluster.",
)
@click.option("--address", metavar="HOST:PORT", help="The Ray cluster (with --engine ray).")
@click.option(
    "--early-stop/--no-early-stop",
    default=None,
    help="Look at a few documents first; stop where it is clearly worse. [build.early_stop]",
)
@json_option
@with_project
def build(project: Project, version: str, as_json: bool, **given: Any) -> None:
    """Make the version's collection equal to the source.

    Resumable and idempotent: killed anywhere and run again it embeds only what is missing.
    Where a --budget ends it, the exit code is 0 and the collection is not complete yet.
    Where an early look shows the version to be clearly worse than what is live, it is 3, and
    nothing was built.
    """
    if given["address"] and given["engine"] != "ray":
        raise click.UsageError("--address names a Ray cluster; it needs --engine ray.")
    report = project.build(version, **given)
    if as_json:
        emit_json(report)
        return
    show_build(project, version, report)


def show_build(project: Project, version: str, report: BuildReport) -> None:
    """Counts, and where bad rows went."""
    rows = [[name.replace("_", " "), getattr(report, name)] for name in _ROWS]
    shown = [row for row in rows if row[1] or row[0] in ("documents", "points", "embedded")]
    _tell_look(project)
    table([project.settings.collection(version), "count"], shown)
    click.echo(f"{report.seconds:.1f} s, {report.documents_per_second:,.0f} documents/s")
    if report.stopped:
        again = f"What was done is kept. Go on with: reindex build {version}"
        click.secho(f"Not complete: {report.stopped}. {again}", fg="yellow", err=True)
    if report.dead:
        click.echo(f"Bad rows are kept in {project.settings.home / 'dead-letters'}")


def _tell_look(project: Project) -> None:
    """What a look before this build found, if there was one."""
    for run in project.registry.runs(limit=1):
        if found := run.details.get("early_look"):
            click.echo(f"Not clearly worse at an early look: {found['look']}")


@main.command()
@click.argument("versions", metavar="VERSION...", nargs=-1, required=True)
@click.option("--against", help="Compare with this version instead of what is live.")
@click.option(
    "--queries", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Queries of this file (BEIR JSONL, or a line each); without --qrels they are not judged.",
)  # fmt: skip
@click.option(
    "--qrels", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Judgements of --queries (BEIR or TREC), instead of those in reindex.toml.",
)  # fmt: skip
@json_option
@with_project
def compare(
    project: Project, versions: tuple[str, ...], against: str | None, queries: Path | None,
    qrels: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Compare a version with what is live, on the judged queries.

    Several versions are compared in one pass, each recorded for itself; the verdicts hold for all
    of them together (Holm), and the exit code is that of the best.

    With --queries alone nobody says what is right: it prints how far the two agree, the verdict is
    "not judged", and no gate counts it. Then `reindex pool` writes what people should judge.

    Exits with 0 where the verdict is pass, 3 for fail, 4 for inconclusive and for not judged.
    """
    if qrels is not None and queries is None:
        raise click.UsageError("--qrels needs --queries: the two belong together.")
    if queries is not None and qrels is None:
        show_unjudged(project, _only(versions), queries, against, as_json=as_json)
    elif queries is not None and qrels is not None:
        project.judge_by(queries, qrels)
    if len(set(versions)) > 1:
        found = project.compare_several(versions, against=against)
        show_several(project, found, as_json=as_json)
        exit_with(min((comparison.verdict for _, comparison in found), key=BEST_FIRST.index))
    stored, comparison = project.compare(versions[0], against=against)
    show_comparison(project, stored, comparison, as_json=as_json)
    exit_with(comparison.verdict)


def _only(versions: tuple[str, ...]) -> str:
    if len(versions) > 1:
        raise click.UsageError("--queries without --qrels compares a single version.")
    return versions[0]


def show_several(
    project: Project, found: Sequence[tuple[StoredComparison, Comparison]], *, as_json: bool
) -> None:
    """One table for all candidates, the verdicts below it."""
    uses = project.registry.judged_set_uses(found[0][0].judged_set)
    if as_json:
        documents = [
            {**comparison.as_dict(), "comparison": stored.id, "leaked": stored.leaked}
            for stored, comparison in found
        ]
        emit_json({"comparisons": documents, "judged_set_uses": uses})
        return
    from rich.console import Console

    from reindex.cli.candidates_table import render_candidates

    render_candidates([comparison for _, comparison in found], Console())
    ids = ", ".join(str(stored.id) for stored, _ in found)
    click.echo(f"Comparisons {ids}. This judged set was used {uses} time(s) so far.")
    for stored, _ in found:
        if stored.leaked:
            click.echo(f"{stored.leaked} judged queries are in {stored.candidate}'s training data!")


def show_unjudged(
    project: Project, version: str, queries: Path, against: str | None, *, as_json: bool
) -> NoReturn:
    """How far the two agree; ends with the exit code of what is not judged."""
    from rich.console import Console

    from reindex.cli.agreement_table import render_unjudged
    from reindex.corpus.judgements import read_query_texts

    asked = read_query_texts(queries)
    stored, found = project.compare_unjudged(version, asked, against=against)
    if as_json:
        emit_json({**found.as_dict(), "unjudged_comparison": stored.id})
    else:
        render_unjudged(found, Console())
        click.echo(f"To let people judge where they differ: reindex pool {version}")
    raise click.exceptions.Exit(EXIT_CODES[found.verdict])


def show_comparison(
    project: Project, stored: StoredComparison, comparison: Comparison, *, as_json: bool
) -> None:
    """The table, and how often this judged set was used."""
    uses = project.registry.judged_set_uses(stored.judged_set)
    if as_json:
        document = {**comparison.as_dict(), "comparison": stored.id, "leaked": stored.leaked}
        emit_json({**document, "judged_set_uses": uses})
        return
    from rich.console import Console

    from reindex.cli.comparison_table import render_comparison

    render_comparison(comparison, Console())
    click.echo(f"Comparison {stored.id}. This judged set was used {uses} time(s) so far.")
    click.echo(f"On a page, with results side by side: reindex report {stored.candidate}")
    if stored.leaked:
        click.echo(f"{stored.leaked} judged queries are in {stored.candidate}'s training data!")
