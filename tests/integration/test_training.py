"""Fine-tuning a tiny model for real: it learns, it can be killed, it says what it did."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reindex.errors import ModelError
from reindex.records import TrainingExample
from tests.training_fixtures import dev_set, pairs, settings, tiny_base  # noqa: F401

pytest.importorskip("sentence_transformers")

from reindex.training.base import copy_base, load_base
from reindex.training.batching import PackedForward
from reindex.training.finetune import TrainResult, fine_tune
from reindex.training.libraries import quiet
from reindex.training.measures import Measures

pytestmark = pytest.mark.train

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """A model this small gains nothing from threads, and other tests may want the cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def vectors(checkpoint: Path, texts: list[str]) -> Any:
    with quiet():
        return load_base(str(checkpoint), max_length=None).encode(texts)


def run(base: str, run_dir: Path, **changes: Any) -> TrainResult:
    resume = changes.pop("resume", True)
    return fine_tune(settings(**changes), pairs(), dev_set(), run_dir, base=base, resume=resume)


@pytest.fixture(scope="module")
def straight(tiny_base: str, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:  # noqa: F811
    """A training that nothing disturbed."""
    return run(tiny_base, tmp_path_factory.mktemp("straight"))


def test_it_learns_and_keeps_the_best_checkpoint(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    result = run(tiny_base, tmp_path, epochs=10)
    assert capfd.readouterr() == ("", "")  # not a word but through `progress`
    scores = [entry["ndcg@10"] for entry in result.history if "ndcg@10" in entry]
    assert len(scores) == 4
    assert result.metrics_after["ndcg@10"] == max(scores) > 2 * result.metrics_before["ndcg@10"]
    assert not result.best_is_base
    assert sorted(item.name for item in tmp_path.iterdir()) == ["model", "run.json"]


def test_everything_that_decides_the_result_is_recorded(straight: TrainResult) -> None:
    lineage = straight.lineage
    assert (straight.dim, straight.matryoshka_dims, straight.steps) == (32, (32, 24, 8), 10)
    assert straight.examples == len(lineage["query_hashes"]) == len(pairs())
    assert lineage["hyperparameters"]["learning_rate"] == 5e-3
    assert lineage["matryoshka_dims"] == [32, 24, 8]
    assert {"torch", "sentence-transformers", "transformers"} <= lineage["versions"].keys()
    for key in ("base", "base_sha256", "data_sha256", "dev_sha256", "seed", "dtype", "device"):
        assert lineage[key], key
    json.dumps(straight.as_dict())


def test_the_same_seed_gives_the_same_weights(
    straight: TrainResult,
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    again = run(tiny_base, tmp_path)
    assert again.history == straight.history
    assert again.lineage == straight.lineage


def test_a_finished_training_is_returned_as_it_is(straight: TrainResult) -> None:
    again = run(straight.lineage["base"], straight.checkpoint.parent)
    assert again == straight


def test_another_setting_is_refused_until_asked_to_start_anew(
    straight: TrainResult, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(straight.checkpoint.parent, tmp_path / "run"))
    base = straight.lineage["base"]
    with pytest.raises(ModelError, match=r"learning_rate: 0\.005 there, 0\.004 now"):
        run(base, folder, learning_rate=4e-3)
    anew = run(base, folder, learning_rate=4e-3, resume=False)
    assert anew.lineage["hyperparameters"]["learning_rate"] == 4e-3


@contextlib.contextmanager
def training(base: str, run_dir: Path, recipe: str = "plain") -> Any:
    """A training in another process, whose progress can be read line by line."""
    command = [sys.executable, "-m", "tests.training_fixtures", base, str(run_dir), recipe]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for said in process.stdout:
        if said.strip() == line:
            return
    raise AssertionError(f"the training ended without {line!r}: {process.communicate()[1]}")


@pytest.mark.parametrize("moment", ["train 4 10", "evaluate 2 4"])
def test_a_killed_training_ends_as_if_nothing_had_happened(
    moment: str, straight: TrainResult, tmp_path: Path
) -> None:
    base = straight.lineage["base"]
    with training(base, tmp_path) as process:
        wait_for(process, moment)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    result = run(base, tmp_path)
    assert (result.steps, result.metrics_after) == (straight.steps, straight.metrics_after)
    texts = [example.anchor for example in pairs()]
    np.testing.assert_allclose(
        vectors(result.checkpoint, texts), vectors(straight.checkpoint, texts), atol=1e-6
    )


@pytest.mark.parametrize("moment", ["train 4 10", "evaluate 1 4"])
def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(
    moment: str, straight: TrainResult, tmp_path: Path
) -> None:
    base = straight.lineage["base"]
    with training(base, tmp_path) as process:
        wait_for(process, moment)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith("interrupted: Interrupted at training step")
    assert "Traceback" not in errors
    assert len(list(tmp_path.glob("checkpoint-*"))) >= 1
    seen: list[int] = []
    result = fine_tune(
        settings(), pairs(), dev_set(), tmp_path, base=base,
        progress=lambda stage, done, _: seen.append(done) if stage == "train" else None,
    )  # fmt: skip
    assert seen[0] > 0  # not from the start
    assert (result.steps, result.metrics_after) == (straight.steps, straight.metrics_after)


def _full(*_: object) -> Path:
    raise OSError("disk full")


def test_a_training_that_fails_at_its_last_write_needs_only_that_again(
    straight: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = straight.lineage["base"]
    with monkeypatch.context() as patched:
        patched.setattr("reindex.training.session.save_checkpoint", _full)
        with pytest.raises(OSError, match="disk full"):
            run(base, tmp_path)
    result = run(base, tmp_path)
    assert (result.history, result.metrics_after) == (straight.history, straight.metrics_after)


def test_the_base_is_kept_where_no_checkpoint_beats_it(
    straight: TrainResult, tmp_path: Path
) -> None:
    base = str(straight.checkpoint)
    result = run(base, tmp_path, learning_rate=0.5, epochs=1, evaluations=2)
    assert result.best_is_base
    assert result.metrics_after == result.metrics_before
    texts = [example.anchor for example in pairs()]
    np.testing.assert_allclose(
        vectors(result.checkpoint, texts), vectors(Path(base), texts), atol=1e-6
    )


def test_training_stops_early_when_nothing_gets_better(
    straight: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a training that stopped, but was killed before its model was written, has ended, too."""

    def again(place: Path) -> TrainResult:
        return run(
            str(straight.checkpoint), place, learning_rate=0.5, epochs=4, evaluations=10, patience=2
        )

    result = again(tmp_path / "one")
    assert result.steps < 20
    with monkeypatch.context() as patched:
        patched.setattr("reindex.training.session.save_checkpoint", _full)
        with pytest.raises(OSError, match="disk full"):
            again(tmp_path / "two")
    resumed = again(tmp_path / "two")
    found, expected = (
        [entry for entry in one.history if "ndcg@10" in entry] for one in (resumed, result)
    )
    assert found == expected
    assert resumed.steps <= result.steps + 1


def test_negatives_prompts_and_cached_gradients_together(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    rows = pairs()
    triplets = [
        TrainingExample(
            row.anchor, row.positive, (rows[place - 7].positive, rows[place - 3].positive)
        )
        for place, row in enumerate(rows)
    ]
    asked = settings(
        batch_size=160, epochs=1, query_prompt="query: ", document_prompt="passage: ",
        max_length=24, matryoshka_dims=(16, 32),
    )  # fmt: skip
    result = fine_tune(asked, triplets, None, tmp_path, base=tiny_base)
    assert result.steps >= 2  # a row's negatives are other rows' positives: they cannot share
    assert result.metrics_before == result.metrics_after == {}
    assert result.matryoshka_dims == (32, 16)
    model = load_base(str(result.checkpoint), max_length=None)
    assert model.max_seq_length == result.max_length == 24
    saved = json.loads((result.checkpoint / "config_sentence_transformers.json").read_text())
    assert saved["prompts"] == {"query": "query: ", "document": "passage: "}


def test_packing_changes_nothing_but_the_time(tiny_base: str) -> None:  # noqa: F811
    import torch

    model = load_base(tiny_base, max_length=None).eval()
    texts = [f"{'word ' * (number % 13)} end {number}" for number in range(40)]
    features = model.preprocess(texts)
    plain = model(features)["sentence_embedding"]
    packed = PackedForward(model.forward, 7)(model.preprocess(texts))["sentence_embedding"]
    torch.testing.assert_close(packed, plain, atol=1e-5, rtol=1e-4)


def test_short_queries_are_not_padded_to_the_documents(tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    from reindex.training.batching import NoDuplicateBatches
    from reindex.training.data import row_keys, to_columns
    from reindex.training.trainer import make_trainer

    torch = pytest.importorskip("torch")
    rows = [TrainingExample(f"q {number}", f"{number} " + "long " * 40) for number in range(8)]
    model = load_base(tiny_base, max_length=None)
    trainer = make_trainer(
        model, [torch.nn.Identity()], [dict(to_columns(rows))],
        NoDuplicateBatches(row_keys(rows), 8, 1),
        settings=settings(), folder=tmp_path, measures=Measures(()), callbacks=[],
    )  # fmt: skip
    batch = next(iter(trainer.get_train_dataloader()))
    assert batch["anchor_input_ids"].shape[1] < 8
    assert batch["positive_input_ids"].shape[1] > 40


def test_adopting_a_base_copies_it_whole(tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    folder = copy_base(tiny_base, tmp_path / "v1", max_length=20)
    assert load_base(str(folder), max_length=None).max_seq_length == 20
    texts = ["an apple", "a river of stones"]
    np.testing.assert_allclose(vectors(folder, texts), vectors(Path(tiny_base), texts), atol=1e-6)
    assert [item.name for item in tmp_path.iterdir()] == ["v1"]


def test_too_long_and_unreadable_bases_are_told(tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(ModelError, match="at most 128 tokens"):
        load_base(tiny_base, max_length=129)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_base(str(tmp_path), max_length=None)


def test_a_hub_id_that_cannot_be_fetched_is_told_with_the_three_forms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"cannot be fetched.*package:NAME"):
        load_base("nobody/no-such-model", max_length=None)


def test_dimensions_beyond_the_models_are_refused(tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(ModelError, match="asks for 64 dimensions"):
        run(tiny_base, tmp_path, matryoshka_dims=(64, 32))


def test_a_training_that_diverges_says_what_to_do(tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(ModelError, match=r"Lower\s+train.learning_rate"):
        run(tiny_base, tmp_path, learning_rate=1e30)
