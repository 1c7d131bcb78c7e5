"""How many rows are computed at once, and how busy a GPU is: what can be seen without one."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest

from reindex.training import speed
from reindex.training.passes import Passes, largest_batch, passes_of, rows_at_once
from reindex.training.speed import Speed


@pytest.mark.parametrize(
    ("room", "batch", "rows", "tried"),
    [(1000, 64, 64, [64]), (1000, 96, 96, [96]), (70, 96, 64, [96, 64]), (3, 8, 2, [8, 4, 2]),
     (1, 1, 1, [1]), (0, 4, 0, [4, 2, 1])],
)  # fmt: skip
def test_the_whole_batch_or_the_largest_part_that_fits(
    room: int, batch: int, rows: int, tried: list[int]
) -> None:
    asked: list[int] = []

    def fits(count: int) -> bool:
        asked.append(count)
        return count <= room

    assert rows_at_once(fits, batch) == rows
    assert asked == tried


def test_the_largest_batch_is_a_power_of_two_that_fits_and_no_more_than_asked() -> None:
    for room, most in itertools.product((0, 1, 5, 64, 100), (1, 16, 4096)):
        found = largest_batch(room.__ge__, most)
        powers = [2**power for power in range(13) if 2**power <= min(room, most)]
        assert found == max(powers, default=0)


def test_on_a_cpu_nothing_is_tried() -> None:
    model = SimpleNamespace(device=SimpleNamespace(type="cpu"))  # has nothing to try with
    assert passes_of(model, 3, 512, half=False) == Passes(whole=128, rows=32)


CARD = """#!/bin/sh
printf '80, 1024\\n[N/A], [N/A]\\n60, 3072\\n'
echo "$@" > "$0.new"
mv "$0.new" "$0.asked"
exec sleep 60
"""


def test_how_busy_a_card_is_comes_from_nvidia_smi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(CARD)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(speed, "_which", lambda _: ["--id=GPU-7"])
    watch = Speed(SimpleNamespace(type="cuda"))
    with watch.watching():
        watch.begin()
        while not (tmp_path / "nvidia-smi.asked").exists():
            pass
        watch.end(64)
    figures = watch.figures()
    asked = (tmp_path / "nvidia-smi.asked").read_text().split()
    assert asked[0] == "--id=GPU-7"
    assert figures["pairs_per_second"] > 0
    assert (figures["gpu_busy"], figures["gpu_memory"]) == (0.7, 3072 * 2**20)


@pytest.mark.parametrize("device", [None, SimpleNamespace(type="cpu")])
def test_without_a_card_there_are_pairs_per_second_alone(device: object) -> None:
    watch = Speed(device)
    assert watch.figures() == {}
    with watch.watching():
        for _ in range(2):
            watch.begin()
            watch.end(8)
    assert watch.figures().keys() == {"pairs_per_second"}
