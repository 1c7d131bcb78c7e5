"""Every loss on every kind of data that it takes: a step lowers it, cached or not."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reindex.config import TrainSettings
from reindex.corpus.training_sets import RowKind
from reindex.losses import CACHED_ABOVE, LOSSES
from tests.objective_fixtures import FITTING, rows_of, triplets
from tests.training_fixtures import dev_set, pairs, settings, tiny_base  # noqa: F401

pytest.importorskip("sentence_transformers")

import torch

from reindex.training.base import load_base
from reindex.training.finetune import fine_tune
from reindex.training.libraries import quiet
from reindex.training.losses import Needs, make_loss
from reindex.training.measures import Measures
from reindex.training.objectives import Objective, as_objectives, lay_out, make_batches
from reindex.training.passes import ON_A_CPU, Passes
from reindex.training.trainer import make_trainer

pytestmark = pytest.mark.train

DIMS = (32, 16, 8)
LARGE = CACHED_ABOVE + 32


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(name="base", scope="module")
def _base(tiny_base: str) -> Any:  # noqa: F811
    return load_base(tiny_base, max_length=None)


class Step:
    """A loss, its model without dropout, and a batch that the trainer collated."""

    def __init__(
        self, base: Any, folder: Path, given: Any, loss: str, asked: TrainSettings,
        passes: Passes = ON_A_CPU,
    ) -> None:  # fmt: skip
        [task] = lay_out(as_objectives(given, loss), temperature=asked.temperature)
        torch.manual_seed(3)
        self.model = copy.deepcopy(base)
        needs = Needs(
            self.model, DIMS, task.negatives, len(task.classes),
            guide=lambda: base, passes=passes,
        )  # fmt: skip
        self.loss = make_loss(task.choice.loss, needs, asked)
        with quiet():
            self.trainer = make_trainer(
                self.model, [self.loss], [task.columns],
                make_batches([task], asked.batch_size, 3, 1),
                settings=asked, folder=folder, measures=Measures(()), callbacks=[],
            )  # fmt: skip
        self.batch = next(iter(self.trainer.get_train_dataloader()))
        self.model.eval()

    def value(self) -> Any:
        random.seed(3)  # 2D draws a layer
        return self.trainer.compute_loss(self.model, dict(self.batch))

    def take(self, rate: float) -> None:
        """Go against the gradient, by ``rate`` in all."""
        self.value().backward()
        found = [item for item in self.loss.parameters() if item.grad is not None]
        length = sum(float((item.grad**2).sum()) for item in found) ** 0.5
        with torch.no_grad():
            for item in found:
                item.sub_(rate / length * item.grad)


OFF = pytest.param("off", marks=pytest.mark.slow)


@pytest.mark.parametrize("matryoshka", ["1d", OFF])
@pytest.mark.parametrize(("kind", "loss"), FITTING)
def test_a_step_lowers_every_loss_on_every_kind_of_data(
    kind: RowKind,
    loss: str,
    matryoshka: str,
    base: Any,
    tmp_path: Path,
) -> None:
    step = Step(base, tmp_path, [Objective(rows_of(kind))], loss,
                settings(matryoshka=matryoshka))  # fmt: skip
    before = step.value().item()
    step.take(0.05)
    assert step.value().item() < before


@pytest.mark.parametrize("loss", [loss for loss in LOSSES.values() if loss.matryoshka])
def test_a_step_lowers_every_loss_of_earlier_layers_too(
    loss: Any,
    base: Any,
    tmp_path: Path,
) -> None:
    kind = loss.kinds[0]
    step = Step(base, tmp_path, [Objective(rows_of(kind))], loss.name,
                settings(matryoshka="2d"))  # fmt: skip
    before = step.value().item()
    step.take(0.02)
    assert step.value().item() < before


def gradients(step: Step) -> dict[str, Any]:
    value = step.value()
    value.backward()
    named = step.model.named_parameters()
    return {"loss": value.detach()} | {
        name: item.grad for name, item in named if item.grad is not None
    }


@pytest.mark.parametrize("matryoshka", ["1d", OFF])
@pytest.mark.parametrize("name", [loss.name for loss in LOSSES.values() if loss.cached])
@pytest.mark.parametrize("negatives", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_cached_gradients_are_the_plain_ones(
    name: str,
    negatives: int,
    matryoshka: str,
    base: Any,
    tmp_path: Path,
) -> None:
    rows = triplets(negatives) if negatives else pairs()
    found = []
    for above in (LARGE, 1):  # plain, then cached
        step = Step(base, tmp_path, rows, name,
                    settings(matryoshka=matryoshka, batch_size=LARGE),
                    Passes(whole=above))  # fmt: skip
        found.append(gradients(step))
    kinds = [type(getattr(step.loss, "loss", step.loss)).__name__, type(step.loss).__name__]
    assert any(kind.startswith("Cached") for kind in kinds)
    assert found[0].keys() == found[1].keys()
    for key, plain in found[0].items():
        torch.testing.assert_close(found[1][key], plain, rtol=1e-3, atol=1e-5, msg=key)


@pytest.mark.parametrize("loss", ["mnrl", "gist", "kl"])
def test_rows_with_unequal_negatives_are_trained_on_each_with_its_own(
    loss: str,
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    rows = [
        replace(row, negatives=row.negatives[: 1 + place % 2], scores=row.scores[: 2 + place % 2])
        for place, row in enumerate(triplets(2, scores=True))
    ]
    result = fine_tune(settings(loss=loss), rows, dev_set(), tmp_path, base=tiny_base)
    told = [(item["rows"], item["reason"][-32:]) for item in result.lineage["objectives"]]
    assert told == [(40, f"batches of rows with {count} negatives") for count in (2, 1)]
    losses = [entry["loss"] for entry in result.history if "loss" in entry]
    assert losses[-1] < losses[0]
