"""How fast a training goes, and how busy it keeps a GPU."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from reindex.training.libraries import load

QUERY = "utilization.gpu,memory.used"
"""What nvidia-smi is asked: the share of time in which a kernel ran, in %, and MiB in use."""

EVERY_MS = 500

WARM_UP = 3
"""Steps that do not count, of a training that has more: memory is taken, kernels are chosen."""


class Speed:
    """Pairs per second of the training steps of this call, and the GPU's share of busy time.

    Evaluations and checkpoints do not count; nor do the first steps, and waiting for a batch.
    """

    def __init__(self, device: Any = None) -> None:
        self._device = device
        self._rows = 0
        self._steps: list[float] = []
        self._begun = 0.0
        self._busy: list[float] = []
        self._memory: list[float] = []

    def begin(self) -> None:
        """A step begins."""
        self._begun = time.perf_counter()

    def end(self, rows: int) -> None:
        """A step of ``rows`` rows ended."""
        self._steps.append(time.perf_counter() - self._begun)
        self._rows = rows

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Ask nvidia-smi twice a second for a while; nothing is asked on a CPU, or without it."""
        program = shutil.which("nvidia-smi")
        if self._device is None or self._device.type != "cuda" or program is None:
            yield
            return
        with tempfile.TemporaryFile("w+") as told:
            command = [program, *_which(self._device), f"--query-gpu={QUERY}",
                       "--format=csv,noheader,nounits", f"--loop-ms={EVERY_MS}"]  # fmt: skip
            asked = subprocess.Popen(command, stdout=told, stderr=subprocess.DEVNULL)  # noqa: S603
            try:
                yield
            finally:
                asked.terminate()
                asked.wait()
                self._read(told)

    def _read(self, told: IO[str]) -> None:
        told.seek(0)
        for line in told:
            busy, _, memory = line.partition(",")
            try:  # a slice of a card says [N/A]
                figures = float(busy), float(memory) * 2**20
            except ValueError:
                continue
            self._busy.append(figures[0])
            self._memory.append(figures[1])

    def figures(self) -> dict[str, float]:
        """``pairs_per_second``, and on a GPU ``gpu_busy`` (0 to 1) and ``gpu_memory`` (bytes)."""
        found: dict[str, float] = {}
        if self._steps:
            counted = self._steps[WARM_UP:] or self._steps
            found["pairs_per_second"] = round(self._rows / statistics.fmean(counted), 3)
        if self._busy:
            found["gpu_busy"] = round(statistics.fmean(self._busy) / 100, 3)
            found["gpu_memory"] = max(self._memory)
        return found


def _which(device: Any) -> list[str]:
    """nvidia-smi counts all cards, torch those that it may see: so by the card's own name."""
    name = getattr(load("torch").cuda.get_device_properties(device), "uuid", None)
    return [] if name is None else [f"--id=GPU-{name}"]


def clock(speed: Speed, rows: int) -> Any:
    """The trainer's callback that times its steps of ``rows`` rows."""
    transformers = load("transformers")

    class Clock(transformers.TrainerCallback):  # type: ignore[misc,name-defined]
        """Passes the trainer's events on."""

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            speed.begin()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            speed.end(rows)

    return Clock()
