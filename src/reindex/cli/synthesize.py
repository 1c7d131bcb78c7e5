"""`reindex data synthesize`: training pairs for a corpus that has none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reindex.cli.app import json_option, with_project
from reindex.cli.data import data
from reindex.cli.output import emit_json, table

if TYPE_CHECKING:
    from reindex.config.synthesis import SynthesisSettings
    from reindex.project import Project
    from reindex.stages.synthesizing import Synthesized
    from reindex.synthesis.writing import Estimate, Written

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_TRIPS = click.Choice(["any", "all", "bm25", "model", "off"])
OPTIONS = (
    click.option("--base-url", help="The endpoint, e.g. http://localhost:8000/v1."),
    click.option("--model", help="The model's name, as the endpoint knows it."),
    click.option("--api-key-env", help="NAME of the environment variable that holds the key."),
    click.option("--prompt", type=_FILE, help="Prompt file with {passage} and {n}."),
    click.option("--examples", type=_FILE, help="Pairs to show in the prompt."),
    click.option("--language", help="Language of the queries."),
    click.option("--queries-per-passage", type=int, help="Queries per passage."),
    click.option("--max-passages", type=int, help="Passages to take."),
    click.option("--min-words", type=int, help="Shorter documents are left out."),
    click.option("--max-words", type=int, help="Words of a passage that are shown."),
    click.option("--stratify", help="Payload field whose values get equal shares."),
    click.option(
        "--judged-documents/--no-judged-documents", default=None,
        help="Take documents that are judged relevant, or leave them out.",
    ),
    click.option("--temperature", type=float, help="Sampling temperature."),
    click.option("--max-tokens", type=int, help="Tokens of one answer at most."),
    click.option("--concurrency", type=int, help="Requests at a time."),
    click.option("--timeout", type=float, help="Seconds for one answer."),
    click.option("--attempts", type=int, help="Tries of one request."),
    click.option("--price-in", type=float, help="Price of a million tokens read."),
    click.option("--price-out", type=float, help="Price of a million tokens written."),
    click.option("--max-cost", type=float, help="Stop before it costs more."),
    click.option("--max-requests", type=int, help="Requests in this run at most."),
    click.option("--round-trip", type=_TRIPS, help="Which searches must find the passage."),
    click.option("--round-trip-k", type=int, help="Found: among the first so many."),
    click.option("--round-trip-model", help="Version that searches. Default: the live one."),
    click.option("--round-trip-documents", type=int, help="Documents that BM25 searches at most."),
    click.option("--keep-sentence", type=float, help="Cloze: share that keeps the sentence."),
    click.option("--seed", type=int, help="Seed of everything random."),
)  # fmt: skip
"""Each overrides the key of its name in [synthesis]."""


def synthesis_options(command: Any) -> Any:
    """The options that override [synthesis] in reindex.toml."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@data.command()
@click.option(
    "--from", "how", type=click.Choice(["llm", "titles", "cloze"]), default="llm",
    show_default=True, help="Who asks: a language model, titles and headings, or sentences.",
)  # fmt: skip
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="The file to write. Default: synthetic-llm.jsonl, or as --from says.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what it would cost; ask nothing.")
@synthesis_options
@json_option
@with_project
def synthesize(
    project: Project, how: Any, output: Path | None, dry_run: bool, as_json: bool, **given: Any
) -> None:
    """Make training pairs for the source's documents.

    A language model writes queries for a sample of passages, through any endpoint that speaks
    OpenAI's protocol; the key comes from the environment. Without one: --from titles takes titles
    and headings as queries, --from cloze sentences. Duplicates, queries like judged ones and
    queries whose passage a search does not find are dropped.

    Run again, it goes on: every answer is kept as soon as it is there, and none is asked twice.
    """
    from reindex.stages.synthesizing import Wanted, estimate
    from reindex.stages.synthesizing import synthesize as make

    path = output or Path(f"synthetic-{how}.jsonl")
    wanted = Wanted(how, synthesis_settings(project, given), path)
    if dry_run:
        guess = estimate(project, wanted)
        emit_json(guess) if as_json else show_estimate(guess)
        return
    made = make(project, wanted)
    emit_json(made) if as_json else show_made(made)


def synthesis_settings(project: Project, given: dict[str, Any]) -> SynthesisSettings:
    """[synthesis] with the options that were given in place of its keys, validated."""
    from pydantic import ValidationError

    changed = {key: value for key, value in given.items() if value is not None}
    changed |= {key: changed[key].resolve() for key in ("prompt", "examples") if key in changed}
    current = project.settings.synthesis
    try:
        return type(current).model_validate({**current.model_dump(), **changed})
    except ValidationError as error:
        wrong = [f"--{str(e['loc'][0]).replace('_', '-')}: {e['msg']}" for e in error.errors()]
        raise click.UsageError("; ".join(wrong)) from error


def show_estimate(guess: Estimate) -> None:
    """Requests, tokens and cost."""
    click.echo(
        f"{guess.passages:,} passages, {guess.kept:,} of them answered already: "
        f"{guess.requests:,} requests, about {guess.tokens_in:,} tokens to read and "
        f"{guess.tokens_out:,} to write."
    )
    if guess.priced:
        click.echo(f"About {guess.cost:.4g}, beside {guess.spent:.4g} spent already.")
    else:
        click.echo("For the cost: --price-in and --price-out (per million tokens).")


def show_made(made: Synthesized) -> None:
    """What was kept and dropped, and the next command."""
    passages, trip = made.passages, made.round_trip
    rows: list[list[Any]] = [["documents read", passages.read]]
    rows += [[f"  {reason}", -count] for reason, count in passages.dropped.items()]
    rows += [["passages", len(passages.chosen)]]
    rows += [["queries", made.queries.total]]
    rows += [[f"  {reason}", -count] for reason, count in made.queries.dropped.items()]
    rows += [["pairs", made.pairs]]
    table(["", "count"], rows, title=str(made.output))
    if made.written is not None:
        _show_written(made.written)
    if trip is not None:
        ways = ", ".join(
            f"{name} {count / max(1, trip.asked):.1%}" for name, count in trip.found.items()
        )
        click.echo(f"Round trip: {trip.share:.1%} found within {trip.k} ({ways}).")
    click.echo(f"Next: reindex train --pairs {made.output}")


def _show_written(written: Written) -> None:
    about = "about " if written.estimated else ""
    click.echo(
        f"{written.answered:,} of {written.passages:,} passages answered, {written.asked:,} now; "
        f"{about}{written.tokens_in:,} tokens read, {written.tokens_out:,} written"
        + (f", cost {about}{written.cost:.4g}." if written.cost else ".")
    )
    for reason, count in written.unusable.items():
        click.echo(f"  {count:,} answers are of no use: {reason}")
    for reason, count in written.failed.items():
        click.echo(f"  {count:,} requests failed: {reason}")
    if written.stopped:
        click.echo(
            f"Stopped with {written.left:,} passages left: {written.stopped}. All answers are "
            "kept; with a higher limit the same command goes on."
        )
    elif written.failed:
        click.echo("The same command asks for those again, and for nothing else.")
