"""A small BEIR folder that a tiny random model can learn, and a way to run the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from reindex.cli import main

_WORDS = (  # noqa: SIM905
    "apple river stone cloud horse table music paper glass bread winter garden metal doctor bridge "
    "silver window candle forest island engine butter rabbit pepper orange castle dragon mirror "
    "ocean planet shadow thunder velvet whisper yellow zebra anchor basket camera desert eagle "
    "fabric guitar hammer iron jacket kitchen ladder magnet needle onion pencil quartz ribbon "
    "saddle ticket umbrella valley wagon yacht bucket copper drum feather goose hotel ink jungle "
    "kettle lemon marble nest oven piano queen rocket sand tower vessel wheel"
).split()
SIDE = 20
LEARNABLE = """
[source]
path = "data"
[train]
base = "{base}"
epochs = 12
batch_size = 16
learning_rate = 5e-3
evaluations = 2
[export]
min_fp32_cosine = 0.999
min_int8_cosine = 0.5
min_ranking_overlap = 0.0
[gate]
max_two_stage_loss = 1.0
"""
"""Settings by which a tiny random ``base`` learns it in seconds."""


def write_beir(folder: Path) -> Path:
    """400 answers; each query word stands for one answer word. Splits by combination."""
    (folder / "qrels").mkdir(parents=True)
    splits: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    documents, queries = [], []
    for one in range(SIDE):
        for other in range(SIDE):
            key, words = f"{one}-{other}", (_WORDS[one], _WORDS[SIDE + other])
            answer = f"{_WORDS[2 * SIDE + one]} {_WORDS[3 * SIDE + other]}"
            documents.append({"_id": f"d{key}", "title": "", "text": answer, "row": one})
            queries.append({"_id": f"q{key}", "text": " ".join(words)})
            split = ("test", "dev", "train", "train", "train")[(3 * one + other) % 5]
            splits[split].append(f"q{key}\td{key}\t1")
    for name, rows in (("corpus", documents), ("queries", queries)):
        lines = "\n".join(json.dumps(row) for row in rows)
        (folder / f"{name}.jsonl").write_text(lines + "\n", "utf-8")
    for split, judged in splits.items():
        text = "\n".join(["query-id\tcorpus-id\tscore", *judged]) + "\n"
        (folder / "qrels" / f"{split}.tsv").write_text(text, "utf-8")
    return folder


def run(project: Path, *arguments: str, code: int = 0) -> Result:
    """Run a command on the project in this process; its exit code must be ``code``."""
    result = CliRunner(env={"COLUMNS": "160"}).invoke(main, ["-c", str(project), *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def run_json(project: Path, *arguments: str, code: int = 0) -> Any:
    """Run a command with ``--json`` and read its one document."""
    return json.loads(run(project, *arguments, "--json", code=code).stdout)
