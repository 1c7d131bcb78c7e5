"""`reindex train` and `reindex export`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reindex.cli.amounts import size
from reindex.cli.app import json_option, main, with_project
from reindex.cli.output import emit_json, table

if TYPE_CHECKING:
    from reindex.project import Project
    from reindex.registry.ledger import Version
    from reindex.stages.training import Trained

TRAIN_OPTIONS = (
    click.option("--base", help="Hub id, local folder, package:NAME, or a version (v1)."),
    click.option("--pairs", type=Path, help="JSONL, CSV or Parquet of (query, positive[, …])."),
    click.option(
        "--data",
        type=Path,
        multiple=True,
        help="A file of training data of any kind (pairs, scored, NLI, judgements, a click log); "
        "again for several. In place of train.pairs and [[train.data]].",
    ),
    click.option("--epochs", type=float, help="Passes over the pairs."),
    click.option("--batch-size", type=int, help="Pairs per batch."),
    click.option("--learning-rate", type=float, help="Peak learning rate."),
    click.option("--max-pairs", type=int, help="Use a random sample of this many pairs."),
    click.option("--loss", help="What is lowered; docs/losses.md has all. Unset: by the data."),
    click.option(
        "--teacher",
        help="Scores queries with documents for margin-mse and kl: a Hub id, folder or version.",
    ),
    click.option("--seed", type=int, help="Seed of everything random."),
    click.option(
        "--negatives",
        help="Mine negatives: bm25, dense, random (several with commas), mixed, none.",
    ),
)


def train_options(command: Any) -> Any:
    """The options that override [train] in reindex.toml."""
    for option in reversed(TRAIN_OPTIONS):
        command = option(command)
    return command


def _named(location: tuple[int | str, ...]) -> str:
    """The option of a key: --negatives for train.negatives.sources."""
    if location[0] != "negatives" or "sources" in location:
        return str(location[0])
    return str(location[1])


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def training_settings(
    project: Project, given: dict[str, Any], negatives: dict[str, Any] | None = None
) -> Any:
    """[train] with the options that were given in place of its keys, validated.

    ``negatives``: options in place of the keys of [train.negatives].
    """
    from pydantic import ValidationError

    changed = {key: value for key, value in given.items() if value is not None}
    changed |= _data_given(changed.get("pairs"), changed.pop("data", ()))
    current = project.settings.train
    within = {"sources": changed.pop("negatives", None), **(negatives or {})}
    within = {key: value for key, value in within.items() if value is not None}
    changed["negatives"] = {**current.negatives.model_dump(), **within}
    try:
        return type(current).model_validate({**current.model_dump(), **changed})
    except ValidationError as error:
        wrong = [f"{_option(_named(e['loc']))}: {e['msg']}" for e in error.errors()]
        raise click.UsageError("; ".join(wrong)) from error


def _data_given(pairs: Path | None, files: Sequence[Path]) -> dict[str, Any]:
    """What is named here is all there is; paths are as seen from here, not from the config."""
    if pairs is None and not files:
        return {}
    tables = [{"path": file.resolve()} for file in files]
    return {"pairs": None if pairs is None else pairs.resolve(), "data": tables}


@main.command()
@train_options
@click.option("--corpus", type=Path, help="BEIR folder whose documents and pairs to train on.")
@click.option("--again", is_flag=True, help="Train even if a version of this recipe exists.")
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    metavar="N",
    help="Try N recipes on dev, within [trials]; the best becomes the version.",
)
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    metavar="K",
    help="Only measure: train K times without a part, and test on it. Makes no version.",
)
@json_option
@with_project
def train(
    project: Project, corpus: Path | None, again: bool, trials: int | None, folds: int | None,
    as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Fine-tune a base model on pairs or other data. Makes the next version.

    An interrupted training goes on where it stopped: run the same command again.
    """
    from reindex.training.ranks import leads

    if folds is not None:
        if trials is not None or again:
            raise click.UsageError("--folds takes neither --trials nor --again.")
        validate(project, training_settings(project, given), folds, corpus, as_json=as_json)
        return
    if trials is not None:
        if corpus is not None or again:
            raise click.UsageError("--trials takes neither --corpus nor --again.")
        search(project, training_settings(project, given), trials, as_json=as_json)
        return
    trained = project.train(training_settings(project, given), again=again, corpus=corpus)
    if leads():  # of several processes under a launcher one tells
        show_trained(trained, as_json=as_json)


def validate(
    project: Project, settings: Any, folds: int, corpus: Path | None, *, as_json: bool
) -> None:
    """Train and measure on folds, and print what they say."""
    from reindex.cli.data_table import show_folds
    from reindex.stages.folding import cross_validate

    found = cross_validate(project, folds, settings, corpus=corpus)
    emit_json(found) if as_json else show_folds(found)


def search(project: Project, settings: Any, trials: int, *, as_json: bool) -> None:
    """Try recipes, and print them with the version that the best one became."""
    from reindex.cli.trials import show_searched

    found = project.search_recipes(trials, settings)
    if as_json:
        emit_json(found)
    else:
        show_searched(found)


def show_trained(trained: Trained, *, as_json: bool) -> None:
    """The version with its dev metrics, before and after."""
    version = trained.version
    if as_json:
        emit_json({"version": version, "held_out": trained.held_out, "told": trained.told})
        return
    if trained.result is None:
        click.echo(
            f"{version.name} was trained with this very recipe and data already. "
            "To train another: --again"
        )
        return
    lineage = trained.result.lineage
    for line in trained.told:
        click.echo(line)
    for item in lineage["objectives"]:
        click.echo(f"{item['rows']:,} {item['kind']}: loss {item['loss']} ({item['reason']})")
    click.echo(f"Pooling: {lineage['pooling']}; batches padded on the {lineage['padding_side']}.")
    show_prompts(lineage["prompts"])
    show_speed(trained.result.speed)
    before, after = version.metrics["before"], version.metrics["after"]
    rows = [[name, f"{before[name]:.4f}", f"{after[name]:.4f}"] for name in after if name in before]
    table(["dev metric", "base", version.name], rows, title=f"{version.name} from {version.base}")
    show_forgetting(version.metrics.get("averaging", {}))
    show_rotation(version.metrics.get("rotation", {}))
    if trained.held_out:
        click.echo(f"{trained.held_out} rows were left out: they hold a judged query.")
    if version.metrics["best_is_base"]:
        click.echo("No checkpoint was better than the base on dev: the base's weights were kept.")
    click.echo(f"Next: reindex export {version.name}")


def show_prompts(prompts: Sequence[str]) -> None:
    """What stands before queries and documents, where anything does."""
    if any(prompts):
        query, document = prompts
        click.echo(
            f"Prompts: {query!r} before queries, {document!r} before documents (where "
            "train.query_prompt or train.document_prompt are not set, as the base declares)."
        )


def show_speed(speed: Mapping[str, float]) -> None:
    """Pairs per second of the steps; on a GPU how busy it was, and its memory."""
    if not speed:
        return
    told = f"{speed['pairs_per_second']:.3g} pairs/s in training steps"
    if "gpu_busy" in speed:
        told += (
            f"; GPU busy {speed['gpu_busy']:.0%}, {size(int(speed['gpu_memory']))} of its memory"
        )
    click.echo(f"{told}.")


def show_rotation(rotation: Mapping[str, Any]) -> None:
    """What prefixes find of the whole vectors' first results, before and after the turn."""
    if not rotation:
        return
    rows = [
        [item["dim"], f"{item['before']:.1%}", f"{item['after']:.1%}"]
        for item in rotation["prefixes"]
    ]
    title = "What prefixes find of the whole vector's first 10"
    table(["dimensions", "trained", "turned"], rows, title=title)
    if not rotation["kept"]:
        click.echo("Prefixes did not gain from turning the vectors: they were left as they are.")


def show_forgetting(averaging: dict[str, Any]) -> None:
    """General figures of the base and of what was made of it, and the base's share in that."""
    before, after = averaging.get("general_before", {}), averaging.get("general_after", {})
    if before:
        rows = [[name, f"{before[name]:.4f}", f"{after[name]:.4f}"] for name in before]
        table(["general", "base", "now"], rows, title="What was forgotten")
    if averaging and averaging["base_weight"]:
        click.echo(f"The base's share of the weights: {averaging['base_weight']}")
    if averaging and not averaging["kept"]:
        click.echo("A general figure fell by more than train.averaging.max_drop.")


@main.command()
@click.argument("version")
@json_option
@with_project
def export(project: Project, version: str, as_json: bool) -> None:
    """Export a version to ONNX (int8, with fp32 beside it) and check it against the checkpoint.

    Out of tolerance, nothing is published.
    """
    exported = project.export(version)
    if as_json:
        emit_json(exported)
        return
    show_exported(project, exported)


def show_exported(project: Project, version: Version) -> None:
    """Parity and invariance figures."""
    rows = [[name, _figure(value)] for name, value in _figures(version.report)]
    table(["check", "figure"], rows, title=f"{version.name}: parity and invariance")
    click.echo(f"Artifact: {project.settings.home / str(version.artifact)}")
    click.echo(f"Next: reindex build {version.name}")


_RANKINGS = ("recall_by_dim", "rescored_by_dim")


def _figures(report: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What people want to see; the hashes are in --json."""
    yield "pooling", report.get("pooling", "")
    yield from report.get("parity", {}).items()
    for name in _RANKINGS:
        by_dim = report.get(name, {})
        for dim, recall in sorted(by_dim.items(), key=lambda item: -int(item[0])):
            yield f"{name.removesuffix('_by_dim')} at {dim} dims", recall
    yield "first-stage dims", report.get("prefix_dim")


def _figure(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
