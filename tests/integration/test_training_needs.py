"""What a training is said to need is what it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reindex.cli import main
from reindex.config import TrainSettings
from reindex.records import TrainingExample
from reindex.registry import REGISTRY_NAME, Registry
from tests.model_fixtures import base_model_path

torch = pytest.importorskip("torch", reason="the [train] extra")
transformers = pytest.importorskip("transformers", reason="the [train] extra")

pytestmark = pytest.mark.train

EXAMPLES = [
    TrainingExample(f"question {number}", f"answer {number} " + "river stone " * (number % 70))
    for number in range(200)
]
SETTINGS = TrainSettings(batch_size=64, max_length=128, epochs=2)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random BERT whose batch takes a few hundred megabytes."""
    folder = tmp_path_factory.mktemp("base")
    config = transformers.BertConfig(
        vocab_size=30522, hidden_size=96, intermediate_size=384, num_hidden_layers=3,
        num_attention_heads=6, max_position_embeddings=140,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(base_model_path()).save_pretrained(folder)
    return str(folder)


def settings_of(recipe: str) -> TrainSettings:
    return SETTINGS.model_copy(update={"matryoshka": "2d"} if recipe == "2d" else {})


def train_it(base: str, recipe: str, folder: str) -> None:
    """Train one epoch in a process of its own, and tell its anonymous memory at the most."""
    from reindex.training.finetune import fine_tune
    from reindex.training.memory import anonymous_bytes

    most: list[int] = []

    def look(stage: str, done: int, total: int | None) -> None:
        most.append(anonymous_bytes())  # what a step took is kept for the next one

    fine_tune(settings_of(recipe), EXAMPLES, None, Path(folder), base=base, progress=look)
    print(json.dumps(max(most)))


def needs(base: str, recipe: str) -> None:
    """What is said in a process of its own."""
    from dataclasses import asdict

    from reindex.training.needs import measure_needs

    print(json.dumps(asdict(measure_needs(settings_of(recipe), EXAMPLES, base))))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["1d", "2d"])
def test_the_memory_that_is_said_is_the_memory_that_is_taken(
    base: str, recipe: str, tmp_path: Path
) -> None:
    def ask(*words: str) -> object:
        done = subprocess.run(
            [sys.executable, "-m", "tests.integration.test_training_needs", *words],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return json.loads(done.stdout.splitlines()[-1])

    said, taken = ask("needs", base, recipe), ask("main", base, recipe, str(tmp_path))
    assert isinstance(said, dict)
    assert isinstance(taken, int)
    assert said["memory"] == pytest.approx(taken, rel=0.25)
    assert said["activations"] > 100e6  # so that this says something
    assert said["steps"] == 8
    assert said["packed"] == (recipe == "1d")
    assert said["pairs_per_second"] > 0
    assert said["seconds"] == pytest.approx(8 * 64 / said["pairs_per_second"])
    assert said["state"] == pytest.approx(4 * 4 * 3_300_000, rel=0.1)


def test_what_a_step_leaves_out_takes_no_memory(base: str) -> None:
    """Adapters and shorter texts; a guide comes on top."""
    from reindex.training.needs import measure_needs

    whole = measure_needs(SETTINGS, EXAMPLES, base)
    small = TrainSettings.model_validate(
        {**SETTINGS.model_dump(), "training_length": 8, "lora": {"rank": 4}}
    )
    light = measure_needs(small, EXAMPLES, base, guide=base)
    assert 0.5 < light.state / whole.state < 0.6  # hardly more than two times the weights
    assert light.tokens <= 16 < whole.tokens
    assert light.activations < 0.5 * whole.activations
    assert light.max_length == whole.max_length == 128  # what serves


@pytest.mark.slow
def test_frozen_layers_have_no_gradients(base: str) -> None:
    from reindex.training.needs import measure_needs

    frozen = SETTINGS.model_copy(update={"freeze_layers": 0})
    whole = measure_needs(SETTINGS, EXAMPLES, base)
    assert measure_needs(frozen, EXAMPLES, base).state < 0.6 * whole.state


def plan(base: str, folder: Path, *words: str, **train: Any) -> Result:
    """``reindex plan`` in a project of `EXAMPLES`."""
    rows = [json.dumps({"anchor": item.anchor, "positive": item.positive}) for item in EXAMPLES]
    (folder / "pairs.jsonl").write_text("\n".join(rows), "utf-8")
    (folder / "docs.jsonl").write_text('{"_id": "1", "text": "a text"}', "utf-8")
    settings = {"base": base, "pairs": "pairs.jsonl", **train}
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    (folder / "reindex.toml").write_text(
        f'[source]\nkind = "jsonl"\npath = "docs.jsonl"\n[train]\n{lines}', "utf-8"
    )
    if not (folder / ".reindex").exists():
        (folder / ".reindex").mkdir()
        Registry(folder / ".reindex" / REGISTRY_NAME, create=True)
    return CliRunner().invoke(main, ["-c", str(folder / "reindex.toml"), "plan", *words])


def test_gradients_that_are_not_cached_are_of_the_whole_batch(base: str, tmp_path: Path) -> None:
    whole, in_parts = (
        json.loads(
            plan(base, tmp_path, "--train", "--json", batch_size=256, matryoshka=kind).stdout
        )
        for kind in ("2d", "1d")
    )
    assert whole["activations"] > 8 * in_parts["activations"]


def test_the_command_says_it_and_fails_where_the_memory_is_not_there(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*words: str) -> Result:
        return plan(base, tmp_path, *words, batch_size=4)

    said = ask("--train", "--json")
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["steps"] == 50
    monkeypatch.setattr("reindex.training.needs.available_bytes", lambda: 1000)
    short = ask("--train")
    assert short.exit_code == 1
    assert "does not fit into memory" in short.output
    for words in ([], ["v1", "--train"]):
        assert ask(*words).exit_code == 2
    assert not (tmp_path / "runs").exists()


if __name__ == "__main__":
    train_it(*sys.argv[2:]) if sys.argv[1] == "main" else needs(*sys.argv[2:])
