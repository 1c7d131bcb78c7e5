"""`reindex pool` and `judge`: people say what is right where the two sides disagree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json

if TYPE_CHECKING:
    from reindex.project import Project


@main.command()
@click.argument("version")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="The file to write. Default: pool-VERSION.jsonl.",
)  # fmt: skip
@click.option(
    "--queries", type=click.IntRange(min=1), default=50, show_default=True,
    help="At most so many queries.",
)  # fmt: skip
@click.option("--depth", type=click.IntRange(min=1), help="Results of each side. Default: all k.")
@click.option(
    "--all", "everything", is_flag=True, help="Also queries with the same results on both sides."
)
@json_option
@with_project
def pool(
    project: Project, version: str, output: Path | None, queries: int, depth: int | None,
    everything: bool, as_json: bool,
) -> None:  # fmt: skip
    """Write the results on which a version and live disagree, for people to judge.

    Takes the version's last comparison, judged or not: the most different queries first, of each
    the results of both sides that nobody judged, shuffled; the file does not say which side found
    what. The queries are kept out of every training from then on. Next: reindex judge FILE
    """
    from reindex.corpus.pools import check_new, write_pool

    path = output or Path(f"pool-{version}.jsonl")
    check_new(path)
    found = project.pool(version, queries=queries, depth=depth, everything=everything)
    write_pool(path, found.queries)
    if as_json:
        counts = {"queries": len(found.queries), "documents": found.documents}
        emit_json({"file": path, **counts, "differing": found.differing, "of": found.of})
        return
    click.echo(
        f"{found.documents:,} results of {len(found.queries):,} queries in {path} "
        f"({found.differing:,} of {found.of:,} queries have other results on the two sides)."
    )
    click.echo(f"Now judge them: reindex judge {path}")


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--max-grade", type=click.IntRange(1, 9), default=2, show_default=True,
    help="Grades go from 0 (not relevant) to this; 1: yes or no.",
)  # fmt: skip
@json_option
def judge(file: Path, max_grade: int, as_json: bool) -> None:
    """Judge the results in FILE (from `reindex pool`), one at a time.

    Keys: 0 to --max-grade for the grade, u to undo, s to skip (it comes again at the end), m for
    more of the text, q to quit. Every answer is saved at once, beside FILE as .qrels.tsv (BEIR's
    form); started again, it goes on where it stopped. Needs no project, so anybody can judge.
    """
    from reindex.cli.judge_session import Session, key_reader
    from reindex.corpus.pools import Answers, read_pool

    queries = read_pool(file)
    with Answers(file) as answers:
        session = Session(queries, answers, max_grade, key_reader(), quiet=as_json)
        session.run()
        left, path = session.left, answers.path
        given = len(answers.given)
    if as_json:
        emit_json({"file": file, "qrels": path, "judged": given, "left": left})
        return
    click.echo(f"\n{given:,} judgements in {path}; {left:,} results are left.")
    click.echo(f"Compare by them: reindex compare VERSION --queries {file} --qrels {path}")
    click.echo(f'Or add them to all that are judged: evaluation.pools = ["{file}"]')
