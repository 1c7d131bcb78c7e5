"""`reindex promote`, `rollback`, `run` and `search`."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import click

from reindex.cli.app import exit_with, json_option, main, with_project
from reindex.cli.collection import show_build
from reindex.cli.compare import show_comparison
from reindex.cli.model import (
    show_exported,
    show_trained,
    train_options,
    training_settings,
)
from reindex.cli.output import emit_json, shorten, table

if TYPE_CHECKING:
    from reindex.gate import GateDecision
    from reindex.project import Project
    from reindex.registry.ledger import Promotion
    from reindex.retriever import Results


@main.command()
@click.argument("version")
@click.option("--dry-run", is_flag=True, help="Only say what the gate says.")
@click.option("--force", is_flag=True, help="Promote although the gate does not pass.")
@click.option("--reason", default="", help="Why; needed with --force and kept in the history.")
@click.option("--require-approval", is_flag=True, help="Only if somebody approved it.")
@json_option
@with_project
def promote(
    project: Project, version: str, dry_run: bool, force: bool, reason: str,
    require_approval: bool, as_json: bool,
) -> None:  # fmt: skip
    """Flip the alias to a version, if the gate passes. One atomic, conditional write.

    Prints every condition with its figure. Exits with 3 where the gate fails, 4 where it is
    inconclusive.
    """
    if force and not reason.strip():
        raise click.UsageError('--force needs --reason "…": it is kept in the history.')
    ask = functools.partial(project.promote, version, require_approval=require_approval)
    decision = ask(dry_run=True).decision
    uses = project.registry.uses_of(decision.comparison)
    if not as_json:
        show_gate(decision)
        if uses is not None:
            click.echo(f"The judged set was used {uses} time(s) so far.")
    go = not dry_run and (force or decision.verdict == "pass")
    done = ask(force=force, reason=reason).promotion if go else None
    if not dry_run and not go:
        from reindex.stages.notifying import tell_refusal

        tell_refusal(project, decision)
    if as_json:
        emit_json({"verdict": decision.verdict, "decision": decision, "flip": done,
                   "judged_set_uses": uses})  # fmt: skip
    elif done is not None:
        show_flip(done)
    elif not dry_run:
        click.echo('Not promoted. To promote all the same: --force --reason "…"', err=True)
    if done is None:
        exit_with(decision.verdict)


def show_gate(decision: GateDecision) -> None:
    """Every condition with its figure."""
    rows = [[item.name, item.verdict, item.figure, item.required] for item in decision.conditions]
    title = f"Gate for {decision.version}: {decision.verdict}"
    table(["condition", "verdict", "figure", "required"], rows, title=title)


def show_flip(done: Promotion) -> None:
    """What the alias points at now, and what plain clients must know."""
    before = done.from_collection or "nothing"
    click.echo(f"{done.alias} -> {done.to_collection} (was {before}; {done.kind} {done.id})")
    click.echo(
        "Clients with an encoder of their own must use the collection's name, never the alias: "
        "after a flip they would search another space."
    )


@main.command()
@click.argument("version", required=False)
@click.option("--now", is_flag=True, help="Flip first, converge the old collection after.")
@click.option("--reason", default="", help="Why; kept in the history.")
@json_option
@with_project
def rollback(project: Project, version: str | None, now: bool, reason: str, as_json: bool) -> None:
    """Flip the alias back to the previous version, or to one that was live before.

    The old collection is first made equal to the source, so that nothing written since is lost.
    """
    done = project.rollback(version, now=now, reason=reason)
    if as_json:
        emit_json(done)
    else:
        show_flip(done)


@main.command()
@train_options
@click.option("--promote", "promote_too", is_flag=True, help="Flip the alias if the gate passes.")
@click.option("--allow-deletes", is_flag=True, help="Delete even a large share of the collection.")
@json_option
@with_project
def run(
    project: Project, promote_too: bool, allow_deletes: bool, as_json: bool, **given: Any
) -> None:
    """Train, export, build and compare in one go; --promote flips if the gate passes.

    Killed half-way, run it again: it goes on where it stopped.
    """
    from reindex.stages.running import run_loop

    settings = training_settings(project, given)
    outcome = run_loop(project, settings, promote=promote_too, allow_deletes=allow_deletes)
    if as_json:
        emit_json(outcome)
    else:
        _show_run(project, outcome)
    exit_with(outcome.verdict)


def _show_run(project: Project, outcome: Any) -> None:
    show_trained(outcome.trained, as_json=False)
    show_exported(project, outcome.exported)
    show_build(project, outcome.exported.name, outcome.build)
    if outcome.comparison is not None:
        show_comparison(project, outcome.stored, outcome.comparison, as_json=False)
    if outcome.decision is not None:
        show_gate(outcome.decision)
    if outcome.promotion is not None:
        show_flip(outcome.promotion)


@main.command()
@click.argument("query")
@click.option("-k", default=10, show_default=True, help="How many results.")
@click.option("--offset", default=0, help="Skip this many results.")
@click.option("--where", multiple=True, help="field=value; several must all hold.")
@click.option("--version", help="Search this version's collection instead of what is live.")
@click.option("--exact", is_flag=True, help="Scan all full vectors instead of two stages.")
@json_option
@with_project
def search(
    project: Project, query: str, k: int, offset: int, where: tuple[str, ...],
    version: str | None, exact: bool, as_json: bool,
) -> None:  # fmt: skip
    """Search what is live: truncated vectors first, rescored on the full ones."""
    retriever = project.retriever(version)
    retriever.wait_until_settled()  # an owner that serves may just be loading what went live
    results = retriever.search(query, k, offset=offset, where=_conditions(where), exact=exact)
    if as_json:
        emit_json(results)
    else:
        show_results(project, results)


def _conditions(given: tuple[str, ...]) -> dict[str, Any] | None:
    conditions: dict[str, Any] = {}
    for item in given:
        field, separator, value = item.partition("=")
        if not separator:
            raise click.UsageError(f"--where takes field=value, not {item!r}.")
        conditions[field] = _value(value)
    return conditions or None


def _value(text: str) -> Any:
    """JSON where it reads as JSON (5, true, ["a", "b"], {"gte": 3}), else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def show_results(project: Project, results: Results) -> None:
    """A line per hit: score, title or id, the start of the text."""
    if not results.hits:
        click.echo("Nothing found.")
    for rank, hit in enumerate(results, start=1):
        title = hit.payload.get("title") or hit.id
        click.echo(f"{rank:3}. {hit.score:.3f}  {click.style(str(title), bold=True)}")
        click.echo(f"            {shorten(_text(project, hit.payload))}")
    click.echo(f"answered by {results.version} ({results.collection})", err=True)


def _text(project: Project, payload: dict[str, Any]) -> str:
    keys = ("page_content", "content", *reversed(project.settings.source.text_fields))
    return next((str(payload[key]) for key in keys if payload.get(key)), "")
