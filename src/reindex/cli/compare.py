"""`reindex compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from reindex.cli.app import EXIT_CODES, exit_with, json_option, main, with_project
from reindex.cli.leaks import leaks
from reindex.cli.output import emit_json

if TYPE_CHECKING:
    from reindex.evaluation.compare import Comparison
    from reindex.evaluation.results_models import ModelsReport
    from reindex.off_the_shelf import ModelSpec
    from reindex.project import Project
    from reindex.registry.ledger import StoredComparison

BEST_FIRST = ("pass", "inconclusive", "fail")


@main.command()
@click.argument("versions", metavar="[VERSION]...", nargs=-1)
@click.option("--against", help="Compare with this version instead of what is live.")
@click.option(
    "--queries", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Queries of this file (BEIR JSONL, or a line each); without --qrels they are not judged.",
)  # fmt: skip
@click.option(
    "--qrels", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Judgements of --queries (BEIR or TREC), instead of those in reindex.toml.",
)  # fmt: skip
@click.option(
    "--model", "models", multiple=True, metavar="MODEL",
    help="Judge this model, too, on a subset: a Hub id, a folder, package:NAME, or a version that "
    "is not built. Can be repeated.",
)  # fmt: skip
@click.option(
    "--model-prompts", "prompts", multiple=True, nargs=2, metavar="QUERY DOCUMENT",
    help="What is put before queries and before documents: once for all models, or once for each. "
    "Without it, what each model declares.",
)  # fmt: skip
@json_option
@with_project
def compare(
    project: Project, versions: tuple[str, ...], against: str | None, queries: Path | None,
    qrels: Path | None, models: tuple[str, ...], prompts: tuple[tuple[str, str], ...],
    as_json: bool,
) -> None:  # fmt: skip
    """Compare a version with what is live, on the judged queries.

    Several versions are compared in one pass, each recorded for itself; the verdicts hold for all
    of them together (Holm), and the exit code is that of the best.

    With --model a model that is no version, or not built, is judged beside them without a build:
    it embeds the judged documents, hard distractors and a sample, and everybody searches those
    exactly. What it scores is an upper bound of what it would on the whole collection, and cannot
    be promoted.

    With --queries alone nobody says what is right: it prints how far the two agree, the verdict is
    "not judged", and no gate counts it. Then `reindex pool` writes what people should judge.

    Exits with 0 where the verdict is pass, 3 for fail, 4 for inconclusive and for not judged.
    """
    specs = model_specs(models, prompts)
    if not versions and not specs:
        raise click.UsageError("What is to be compared? Name a VERSION, or a model with --model.")
    if qrels is not None and queries is None:
        raise click.UsageError("--qrels needs --queries: the two belong together.")
    if queries is not None and qrels is None:
        if specs:
            raise click.UsageError("--model is judged: it needs --qrels beside --queries.")
        show_unjudged(project, _only(versions), queries, against, as_json=as_json)
    elif queries is not None and qrels is not None:
        project.judge_by(queries, qrels)
    if specs:
        show_beside(project, *project.compare_with_models(versions, specs, against=against),
                    as_json=as_json)  # fmt: skip
    if len(set(versions)) > 1:
        found = project.compare_several(versions, against=against)
        show_several(project, found, as_json=as_json)
        exit_with(min((comparison.verdict for _, comparison in found), key=BEST_FIRST.index))
    stored, comparison = project.compare(versions[0], against=against)
    show_comparison(project, stored, comparison, as_json=as_json)
    exit_with(comparison.verdict)


def model_specs(models: tuple[str, ...], prompts: tuple[tuple[str, str], ...]) -> list[ModelSpec]:
    """The models as they are asked for; folders as seen from here, not from the config."""
    from reindex.off_the_shelf import ModelSpec

    if prompts and len(prompts) not in (1, len(models)):
        raise click.UsageError(
            f"--model-prompts was given {len(prompts)} times for {len(models)} models: give it "
            "once for all of them, or once for each, in their order."
        )
    each: list[tuple[str, str] | None] = [*(prompts or [None])]
    each = each * len(models) if len(each) == 1 else each
    names = [str(Path(name).resolve()) if Path(name).is_dir() else name for name in models]
    return list(dict.fromkeys(map(ModelSpec, names, each)))


def show_beside(
    project: Project,
    found: Sequence[tuple[StoredComparison, Comparison]],
    models: ModelsReport,
    *,
    as_json: bool,
) -> NoReturn:
    """The versions' comparisons as ever, and the models below; ends with the best verdict."""
    from rich.console import Console

    from reindex.cli.models_table import render_models
    from reindex.plain import to_plain

    verdicts = [comparison.verdict for _, comparison in found]
    verdicts = verdicts or [row.judged.verdict for row in models.models() if row.judged]
    uses = project.registry.judged_set_uses(models.judged_set)
    if as_json and not found:
        emit_json({"comparisons": [], "models": to_plain(models), "judged_set_uses": uses})
    elif len(found) == 1:
        show_comparison(project, *found[0], as_json=as_json)
    elif found:
        show_several(project, found, as_json=as_json)
    if not as_json:
        render_models(models, Console())
    if not found and not as_json:
        click.echo(f"This judged set was used {uses} time(s) so far.")
    raise click.exceptions.Exit(EXIT_CODES[min(verdicts, key=BEST_FIRST.index)])


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
    told = (line for _, comparison in found for line in leaks(comparison))
    _warn([*told, *_unasked(project, found[0][0].candidate)])


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
        _warn([] if project.settings.gate.judged else _unasked(project, version))
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
    _warn([*leaks(comparison), *_unasked(project, stored.candidate)])


def _unasked(project: Project, version: str) -> list[str]:
    """Conditions of the gate that will fail for their wording, before somebody promotes."""
    told = project.unasked_conditions(version)
    return [f"The gate's condition {line} (reindex figures {version} lists all)" for line in told]


def _warn(lines: Sequence[str]) -> None:
    for line in lines:
        click.secho(line, fg="yellow")
