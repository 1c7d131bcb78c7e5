"""Several objectives, adapters, frozen layers, averages: what a training can be made of."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reindex.config import TrainSettings
from reindex.config.training_losses import LoraSettings
from reindex.errors import ConfigError, DataError, MissingExtra, ModelError
from reindex.records import ScoredPair
from tests.integration.test_training import training, vectors, wait_for
from tests.objective_fixtures import RECIPES, rows_of, several
from tests.training_fixtures import dev_set, pairs, settings, tiny_base  # noqa: F401

pytest.importorskip("sentence_transformers")

import torch

from reindex.training import adapters
from reindex.training.base import load_base
from reindex.training.devset import DevSet
from reindex.training.finetune import TrainResult, fine_tune
from reindex.training.freezing import freeze
from reindex.training.lineage import weights_hash
from reindex.training.measures import HeldOut, measure_of, retrieval
from reindex.training.objectives import Objective

pytestmark = pytest.mark.train

TEXTS = [example.anchor for example in pairs()]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(name="base", scope="module")
def _base(tiny_base: str) -> str:  # noqa: F811
    return tiny_base


def train(base: str, folder: Path, rows: Any = None, **more: Any) -> TrainResult:
    general = more.pop("general", {})
    return fine_tune(
        settings(**more), pairs() if rows is None else rows, HeldOut(dev_set(), general), folder,
        base=base,
    )  # fmt: skip


@pytest.fixture(scope="module")
def straight(base: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Trainings that nothing disturbed, made when first asked for."""
    made: dict[str, TrainResult] = {}

    def get(recipe: str) -> TrainResult:
        if recipe not in made:
            asked, rows, dev = RECIPES[recipe]()
            folder = tmp_path_factory.mktemp(recipe)
            made[recipe] = fine_tune(asked, rows, dev, folder, base=base)
        return made[recipe]

    return get


# -- several objectives


def test_several_objectives_are_trained_measured_and_recorded(straight: Any) -> None:
    result = straight("both")
    told = result.lineage["objectives"]
    assert [item["rows"] for item in told] == [80, 128, 128, 64]
    assert [item["loss"] for item in told] == ["mnrl", "cosent", "softmax", "class-triplet"]
    # batches of 16: twice 5 of pairs, half of 8, a quarter of 8, half of the classes' 4
    assert result.steps == 2 * (10 + 4 + 2 + 2)
    before, after = result.metrics_before, result.metrics_after
    assert after.keys() == {"spearman (scored)", "accuracy (nli)", "accuracy (classes)"}
    assert before.keys() == after.keys() - {"accuracy (nli)"}  # the base has no classifier
    # without judged queries the first objective that is measured chooses
    figures = [entry["spearman (scored)"] for entry in result.history if len(entry) > 3]
    assert len(figures) == 4
    assert before["spearman (scored)"] < after["spearman (scored)"] == max(figures)


def test_judged_queries_choose_where_there_are_any(straight: Any) -> None:
    result = straight("long")
    scores = [entry["ndcg@10"] for entry in result.history if "ndcg@10" in entry]
    assert result.metrics_after["ndcg@10"] == max(scores)


def test_a_loss_that_does_not_fit_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Losses that do: cosent, angle"):
        fine_tune(settings(), [Objective(rows_of("scored"), "gist")], None, tmp_path, base="no/no")
    assert not list(tmp_path.iterdir())


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("several", "lora", "2d")]


@pytest.mark.parametrize("recipe", ["both", *SLOW])
def test_a_killed_training_goes_on_through_the_same_steps(
    recipe: str, straight: Any, base: str, tmp_path: Path
) -> None:
    expected = straight(recipe)
    steps = expected.steps
    half = max(entry["step"] for entry in expected.history if entry["step"] <= steps / 2)
    with training(base, tmp_path, recipe) as process:
        wait_for(process, f"train {half + 1} {steps}")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    weights = {file.name for file in tmp_path.glob("checkpoint-*/*.safetensors")}
    assert (adapters.FILE in weights) == (recipe in ("both", "lora"))
    assert ("model.safetensors" in weights) == (recipe in ("several", "2d"))
    seen: list[int] = []
    asked, rows, dev = RECIPES[recipe]()
    result = fine_tune(
        asked, rows, dev, tmp_path, base=base,
        progress=lambda stage, done, _: seen.append(done) if stage == "train" else None,
    )  # fmt: skip
    assert seen[0] > 0  # not from the start
    assert (result.steps, result.metrics_after) == (steps, expected.metrics_after)
    assert result.history == expected.history
    np.testing.assert_allclose(
        vectors(result.checkpoint, TEXTS), vectors(expected.checkpoint, TEXTS), atol=1e-6
    )


# -- adapters


def test_merged_adapters_give_the_vectors_of_unmerged_ones(base: str, tmp_path: Path) -> None:
    asked = LoraSettings(rank=4, dropout=0.2)
    model = load_base(base, max_length=None)
    plain = model.encode(TEXTS)
    adapters.attach(model, asked)
    torch.manual_seed(5)
    with torch.no_grad():
        for item in adapters.weights(model).values():
            item.normal_(std=0.3)
    unmerged = model.eval().encode(TEXTS)
    adapters.save(model, tmp_path)
    merged = adapters.merged(load_base(base, max_length=None), asked, tmp_path)
    np.testing.assert_allclose(merged.encode(TEXTS), unmerged, atol=1e-5)
    assert np.abs(unmerged - plain).max() > 0.01
    names = load_base(base, max_length=None).state_dict().keys()
    assert merged.state_dict().keys() == names  # a plain model again


def test_lora_leaves_an_ordinary_checkpoint_as_good_as_measured(straight: Any) -> None:
    result = straight("both")
    model = load_base(str(result.checkpoint), max_length=None)
    assert not [name for name in model.state_dict() if "lora" in name]
    scored = several()[1].dev
    assert scored is not None
    again = measure_of(scored, name="scored", batch_size=32).figures(model)
    assert again["spearman (scored)"] == pytest.approx(  # while training it is in bfloat16
        result.metrics_after["spearman (scored)"], abs=0.05
    )


@pytest.mark.slow
def test_lora_learns(base: str, tmp_path: Path) -> None:
    rows = pairs()  # frozen random weights cannot tell unseen ones: does it learn what it saw?
    seen = DevSet(
        queries={str(place): row.anchor for place, row in enumerate(rows)},
        corpus={str(place): row.positive for place, row in enumerate(rows)},
        relevant={str(place): frozenset([str(place)]) for place in range(len(rows))},
    )
    asked = settings(lora={"rank": 8}, epochs=16, learning_rate=2e-2, dropout=0.0)
    result = fine_tune(asked, rows, seen, tmp_path, base=base)
    losses = [entry["loss"] for entry in result.history if "loss" in entry]
    assert losses[-1] < losses[0]
    assert result.metrics_after["ndcg@10"] > result.metrics_before["ndcg@10"] + 0.2


def test_targets_that_no_layer_has_are_told_with_those_there_are(base: str) -> None:
    with pytest.raises(ModelError, match=r"linear layers end in: dense, key, query, value"):
        adapters.attach(load_base(base, max_length=None), LoraSettings(rank=2, targets=("q_proj",)))


def test_qlora_trains_on_four_bits_and_is_merged_into_full_precision(
    base: str, tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes", reason="the [qlora] extra")
    asked = settings(
        lora={"rank": 8, "quantize": True}, epochs=4, learning_rate=2e-2, dropout=0.0, evaluations=4
    )
    result = fine_tune(asked, pairs(), dev_set(), tmp_path, base=base)
    losses = [entry["loss"] for entry in result.history if "loss" in entry]
    assert losses[-1] < losses[0]
    before = load_base(base, max_length=None).state_dict()
    after = load_base(str(result.checkpoint), max_length=None).state_dict()
    assert after.keys() == before.keys()  # a plain model, nothing in 4 bits
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    for name in before:
        linear = name.endswith("weight") and ("attention" in name or "dense" in name)
        if "LayerNorm" in name or not linear:
            assert name not in changed
    if not result.best_is_base:
        assert all(
            torch.linalg.matrix_rank(after[name] - before[name], rtol=1e-3) <= 8 for name in changed
        )


def test_qlora_without_its_library_says_what_to_install(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtra, match=r"reindex\[qlora\]"):
        train(base, tmp_path, lora={"rank": 4, "quantize": True})


# -- frozen layers


def test_frozen_layers_and_embeddings_stay_as_they_are(base: str, tmp_path: Path) -> None:
    result = train(base, tmp_path, freeze_layers=1)
    before = load_base(base, max_length=None).state_dict()
    after = load_base(str(result.checkpoint), max_length=None).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(".layer.1." in name for name in changed), changed


def test_more_frozen_layers_than_there_are_is_refused(base: str) -> None:
    with pytest.raises(ModelError, match="has 2 layers"):
        freeze(load_base(base, max_length=None), 3)
    with pytest.raises(ModelError, match="nothing would"):
        freeze(load_base(base, max_length=None), 2)
    model = load_base(base, max_length=None)
    freeze(model, 0)
    frozen = {name for name, item in model.named_parameters() if not item.requires_grad}
    assert frozen
    assert all(".embeddings." in name for name in frozen)


# -- averages


def test_a_fixed_average_is_the_mean_of_the_weights(
    base: str, straight: Any, tmp_path: Path
) -> None:
    tuned = straight("long")
    mixed = train(base, tmp_path / "mixed", epochs=10, averaging={"base_weight": 0.25},
                  general={"sts": rows_of("scored")})  # fmt: skip
    states = [
        load_base(str(place), max_length=None).state_dict()
        for place in (base, tuned.checkpoint, mixed.checkpoint)
    ]
    for name, item in states[2].items():
        expected = 0.25 * states[0][name] + 0.75 * states[1][name]
        torch.testing.assert_close(item.float(), expected.float())
    model = load_base(str(mixed.checkpoint), max_length=None)
    figures = retrieval(dev_set(), batch_size=32).figures(model)
    assert dict(mixed.metrics_after) == pytest.approx(figures, abs=1e-6)
    told = mixed.averaging
    assert (told["base_weight"], len(told["tried"])) == (0.25, 1)
    sts = measure_of(rows_of("scored"), name="sts", batch_size=32)
    assert told["general_before"] == pytest.approx(
        sts.figures(load_base(base, max_length=None)), abs=1e-6
    )
    assert told["general_after"] == pytest.approx(sts.figures(model), abs=1e-6)


def test_a_later_round_is_averaged_with_the_base_of_all_rounds(base: str, tmp_path: Path) -> None:
    """Not with the model that it began with, or forgetting would add up unseen."""
    start, sts = str(tmp_path / "start"), {"sts": rows_of("scored")}
    other = load_base(base, max_length=None)
    with torch.no_grad():
        next(other.parameters()).mul_(1.5)
    other.save_pretrained(start)
    asked = {"epochs": 0.4, "dropout": 0.0}
    tuned = fine_tune(settings(**asked), pairs(), None, tmp_path / "tuned", base=start)
    held = HeldOut(None, sts, original=base)
    half = settings(**asked, averaging={"base_weight": 0.5})
    mixed = fine_tune(half, pairs(), held, tmp_path / "mixed", base=start)
    states = [
        load_base(str(place), max_length=None).state_dict()
        for place in (base, tuned.checkpoint, mixed.checkpoint)
    ]
    for name, item in states[2].items():
        expected = (states[0][name].float() + states[1][name].float()) / 2
        torch.testing.assert_close(item.float(), expected)
    expected = measure_of(sts["sts"], name="sts", batch_size=32).figures(
        load_base(base, max_length=None)
    )
    assert mixed.averaging["general_before"] == pytest.approx(expected, abs=1e-6)


def reversed_scores() -> Any:
    """A general set that every step of the training forgets."""
    data = rows_of("scored")
    pairs = [row for row in data.rows if isinstance(row, ScoredPair)]
    return replace(data, rows=tuple(replace(row, score=1 - row.score) for row in pairs))


@pytest.mark.slow
def test_the_share_of_the_base_is_chosen_by_dev_within_the_limit(base: str, tmp_path: Path) -> None:
    free = train(base, tmp_path / "free", epochs=10, averaging={"base_weight": "auto"},
                 general={"same": rows_of("scored")})  # fmt: skip
    told = free.averaging
    assert len(told["tried"]) == 10
    best = max(item["dev"]["ndcg@10"] for item in told["tried"])
    assert free.metrics_after["ndcg@10"] == best  # it only gets better: the limit binds nothing
    assert told["kept"]
    held = train(base, tmp_path / "held", epochs=10, averaging={"base_weight": "auto"},
                 general={"other": reversed_scores()})  # fmt: skip
    assert held.averaging["base_weight"] > told["base_weight"]
    falls = [item["general"]["spearman (other)"] for item in held.averaging["tried"]]
    if not held.averaging["kept"]:  # then the one that forgets least
        assert held.averaging["general_after"]["spearman (other)"] == max(falls)


def test_a_share_cannot_be_chosen_by_nothing(base: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no general set"):
        train(base, tmp_path, averaging={"base_weight": "auto"})
    asked: TrainSettings = settings(averaging={"base_weight": "auto"})
    with pytest.raises(ConfigError, match="no dev data"):
        fine_tune(asked, pairs(), HeldOut(None, {"a": rows_of("scored")}), tmp_path, base=base)


def test_forgetting_is_measured_without_averaging_too(base: str, tmp_path: Path) -> None:
    result = train(base, tmp_path, epochs=10, general={"judged": dev_set()})
    assert result.averaging["base_weight"] == 0
    after = result.averaging["general_after"]
    assert after["ndcg@10 (judged)"] == pytest.approx(result.metrics_after["ndcg@10"], abs=0.05)
    assert result.averaging["general_before"]["ndcg@10 (judged)"] == pytest.approx(
        result.metrics_before["ndcg@10"]
    )


def test_general_figures_are_told_where_the_base_is_kept(base: str, tmp_path: Path) -> None:
    asked = {"learning_rate": 1e-12, "epochs": 1, "evaluations": 1}  # nothing beats the base so
    result = train(base, tmp_path, general={"sts": rows_of("scored")}, **asked)
    assert result.best_is_base
    told = result.averaging
    expected = measure_of(rows_of("scored"), name="sts", batch_size=32).figures(
        load_base(base, max_length=None)
    )
    assert told["general_before"] == pytest.approx(expected, abs=1e-6)
    assert told["general_after"] == told["general_before"]
    assert (told["base_weight"], told["kept"]) == (1.0, True)


# -- guides


def test_a_guide_is_known_by_its_weights_and_may_not_change_on_the_way(
    base: str, tmp_path: Path
) -> None:
    guide = tmp_path / "guide"
    shutil.copytree(base, guide)
    asked = settings(loss="gist", guide=str(guide), epochs=1)

    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "train" and done == 2:
            raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        fine_tune(asked, pairs(), None, tmp_path / "run", base=base, progress=stop)
    other = load_base(str(guide), max_length=None)
    with torch.no_grad():
        next(other.parameters()).mul_(1.5)
    other.save_pretrained(str(guide))
    with pytest.raises(ModelError, match="other weights than when this training began"):
        fine_tune(asked, pairs(), None, tmp_path / "run", base=base)
    result = fine_tune(asked, pairs(), None, tmp_path / "run", base=base, resume=False)
    assert result.lineage["guide_sha256"] == weights_hash(load_base(str(guide), max_length=None))
    assert result.lineage["guide_sha256"] != result.lineage["base_sha256"]
