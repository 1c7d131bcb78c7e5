"""A translation task that a tiny random model can learn and cannot guess, and a way to run it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from reindex.config import TrainSettings
from reindex.records import TrainingExample
from reindex.training.devset import DevSet
from tests.model_fixtures import make_tiny_checkpoint

_WORDS = (  # noqa: SIM905
    "apple river stone cloud horse table music paper glass bread winter garden metal doctor bridge "
    "silver window candle forest island engine butter rabbit pepper orange castle dragon mirror "
    "ocean planet shadow thunder velvet whisper yellow zebra anchor basket camera desert"
).split()
_CELLS = [(one, other) for one in range(10) for other in range(10)]


def _query(one: int, other: int) -> str:
    return f"{_WORDS[one]} {_WORDS[10 + other]}"


def _answer(one: int, other: int) -> str:
    return f"{_WORDS[20 + one]} {_WORDS[30 + other]}"


def _held_out(one: int, other: int) -> bool:
    return (3 * one + other) % 5 == 0


def pairs() -> list[TrainingExample]:
    """80 pairs: each query word stands for one answer word."""
    return [
        TrainingExample(_query(*cell), _answer(*cell)) for cell in _CELLS if not _held_out(*cell)
    ]


def dev_set() -> DevSet:
    """20 unseen combinations of the same words, among all 100 answers."""
    held = {f"{one}{other}": (one, other) for one, other in _CELLS if _held_out(one, other)}
    return DevSet(
        queries={key: _query(*cell) for key, cell in held.items()},
        corpus={f"{one}{other}": _answer(one, other) for one, other in _CELLS},
        relevant={key: frozenset([key]) for key in held},
    )


def settings(**changes: Any) -> TrainSettings:
    """Two epochs of five steps; enough for the mechanics."""
    defaults: dict[str, Any] = {
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 5e-3,
        "evaluations": 4,
    }
    return TrainSettings(**{**defaults, **changes})


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random 32-dim BERT of two layers, as a base model."""
    return str(make_tiny_checkpoint(tmp_path_factory.mktemp("base") / "tiny"))


def tell(stage: str, done: int, total: int | None) -> None:
    """Progress as lines, so that another process knows when to strike."""
    print(stage, done, total, flush=True)


def main(base: str, run_dir: str, recipe: str = "plain") -> None:
    """Train as another process, to be killed or interrupted."""
    from reindex.training.finetune import fine_tune
    from tests.objective_fixtures import RECIPES

    asked, rows, dev = RECIPES[recipe]()
    try:
        fine_tune(asked, rows, dev, Path(run_dir), base=base, progress=tell)
    except KeyboardInterrupt as error:
        sys.exit(f"interrupted: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
