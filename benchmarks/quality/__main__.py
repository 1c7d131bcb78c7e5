"""What training brings on MedQuAD, against the bars: one command, resumable, a printed table.

    REINDEX_MEDQUAD=folder python benchmarks/quality --work folder [--test]

A project in ``--work`` does what a user's would: the base is adopted and exported, each recipe of
`recipes.RECIPES` is trained on the train split and exported, and the int8 artifacts embed all
documents. Figures are of exact search among all of them. Dev is what recipes are chosen by;
``--test`` prints the test split and the bars, once the recipes stand. Run again, it goes on where
it stopped. ``--only`` names some recipes; ``--pairs 2048`` is the same in small.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bars import verdicts
from measuring import Measured, int8_over_fp32, measure
from recipes import BASE, COMMON, DIMS, LONGER, RECIPES

from reindex.cli.output import table
from reindex.cli.progress import ProgressBars
from reindex.config import CONFIG_NAME, TrainSettings, load_settings
from reindex.evaluation.compare import judged_set_hash
from reindex.evaluation.resampling import paired_difference
from reindex.project import Project
from reindex.protocols import Progress
from reindex.registry.judged_uses import JudgedUses
from reindex.registry.ledger import Version


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line."""

    work: Path
    split: str
    pairs: int | None
    only: tuple[str, ...]


def main() -> None:
    """Train what is not trained, measure, print."""
    wish = _wish()
    data = os.environ.get("REINDEX_MEDQUAD")
    if not data or not Path(data).is_dir():
        sys.exit("Set REINDEX_MEDQUAD to the folder of MedQuAD in BEIR layout.")
    with ProgressBars() as progress, _project(wish.work, Path(data), progress) as project:
        versions = {"base": _base(project)}
        for name in wish.only:
            versions[name] = _trained(project, name, wish.pairs)
        _report(project, wish, versions)


def _wish() -> Wish:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of the project")
    parser.add_argument("--test", action="store_true", help="the test split, and the bars")
    parser.add_argument("--pairs", type=int, help="train on a random sample of this many")
    parser.add_argument("--only", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    given = parser.parse_args()
    split = "test" if given.test else "dev"
    return Wish(given.work.resolve(), split, given.pairs, tuple(given.only))


def _project(work: Path, data: Path, progress: Progress) -> Project:
    if (work / CONFIG_NAME).exists():
        return Project(load_settings(work), progress=progress)
    work.mkdir(parents=True, exist_ok=True)
    values: dict[str, dict[str, Any]] = {
        "project": {"name": "quality"},
        "source": {"kind": "beir", "path": data.resolve()},
        "train": {"base": BASE},
    }
    return Project.init(work, values=values, progress=progress)


def _base(project: Project) -> Version:
    known = [item for item in project.registry.versions() if item.kind == "base"]
    return project.export((known[0] if known else project.adopt_base()).name)


def _trained(project: Project, name: str, pairs: int | None) -> Version:
    recipe = {**COMMON, **RECIPES[name]}
    if "after" in recipe:
        recipe["base"] = _trained(project, recipe.pop("after"), pairs).name
    if pairs is not None:
        recipe["max_pairs"] = min(pairs, recipe.get("max_pairs", pairs))
    settings = TrainSettings.model_validate(recipe)
    return project.export(project.train(settings).version.name)


def _report(project: Project, wish: Wish, versions: dict[str, Version]) -> None:
    judged = project.judgements(wish.split)
    if judged is None:
        sys.exit(f"There are no {wish.split} judgements in REINDEX_MEDQUAD.")
    found: dict[str, Measured] = {}
    for name, version in versions.items():
        found[name] = measure(project, version, judged)
    if LONGER in found and wish.split == "test":
        found[LONGER].figures["int8/fp32"] = int8_over_fp32(project, versions[LONGER], judged)
    digest, looks = judged_set_hash(judged), JudgedUses(project.registry)
    looks.add(digest, "benchmark", looks=len(found))
    _show(found, versions, wish, len(judged.queries))
    print(f"The {wish.split} split has been looked at {looks.count(digest)} times here.")
    figures = {name: item.figures for name, item in found.items()}
    (wish.work / f"figures-{wish.split}.json").write_text(json.dumps(figures, indent=1), "utf-8")
    title = "Bars" if wish.split == "test" else "Bars, on dev: for choosing"
    table(["bar", "reached", "asked for", "verdict"], verdicts(figures), title=title)


def _show(
    found: dict[str, Measured], versions: dict[str, Version], wish: Wish, queries: int
) -> None:
    base, rows = found["base"], []
    for name, item in found.items():
        change = paired_difference(base.ndcg, item.ndcg, base.groups)
        kept = [item.figures[f"recall@10/{dim}"] / item.figures["recall@10"] for dim in DIMS[1:]]
        rescored = [
            item.figures[f"recall@10/{dim} rescored"] / item.figures["recall@10"]
            for dim in DIMS[1:]
        ]
        lineage = versions[name].recipe.get("lineage", {})
        rows.append(
            [name, f"{lineage.get('examples', 0):,}", f"{item.figures['recall@10']:.4f}",
             f"{item.figures['ndcg@10']:.4f}",
             f"{change.relative:+.1%} ({change.low:+.1%} to {change.high:+.1%})",
             " ".join(f"{share:.1%}" for share in kept),
             " ".join(f"{share:.1%}" for share in rescored)]
        )  # fmt: skip
    kept_by = "recall kept by " + ", ".join(map(str, DIMS[1:]))
    columns = [
        "model",
        "pairs",
        "recall@10",
        "nDCG@10",
        "nDCG over the base",
        kept_by,
        "then rescored",
    ]
    table(columns, rows, title=f"{queries:,} {wish.split} queries, all documents, int8")


if __name__ == "__main__":
    main()
