"""The translation task of `tests.training_fixtures` as a project on disk, with a tiny base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reindex.project import Project
from tests.training_fixtures import dev_set, pairs


def write_task(data: Path, *, judged: bool = True, trained: bool = True) -> None:
    """BEIR: 100 answers; 80 training pairs and 20 dev queries, if asked for."""
    dev = dev_set()
    (data / "qrels").mkdir(parents=True)
    documents = [{"_id": key, "title": "", "text": text} for key, text in dev.corpus.items()]
    ids = {text: key for key, text in dev.corpus.items()}
    queries = [{"_id": f"q{key}", "text": text} for key, text in dev.queries.items()]
    train = [(f"t{ids[item.positive]}", item) for item in pairs()]
    queries += [{"_id": name, "text": item.anchor} for name, item in train]
    _jsonl(data / "corpus.jsonl", documents)
    _jsonl(data / "queries.jsonl", queries)
    if judged:
        _qrels(data / "qrels/dev.tsv", [(f"q{key}", key) for key in dev.queries])
    if trained:
        _qrels(data / "qrels/train.tsv", [(name, ids[item.positive]) for name, item in train])


def task_project(folder: Path, base: str, **changes: Any) -> Project:
    """A new project over the task; ``changes`` are sections of ``reindex.toml``."""
    folder.mkdir(exist_ok=True)
    train = {"base": base, "epochs": 2, "batch_size": 16, "learning_rate": 5e-3}
    values = {"source": {"path": Path("data")}, **changes}
    values["train"] = {**train, **changes.get("train", {})}
    return Project.init(folder, values=values)


def _jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def _qrels(path: Path, rows: list[tuple[str, str]]) -> None:
    lines = [f"{query}\t{document}\t1\n" for query, document in rows]
    path.write_text("query-id\tcorpus-id\tscore\n" + "".join(lines), "utf-8")
