"""`reindex train --trials` for real: tiny models, the registry, the best as a version, a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from reindex.cli import main
from reindex.config import load_settings
from reindex.errors import ConfigError
from reindex.project import Project
from reindex.registry.trials import Studies, Study, Trial
from reindex.training.devset import METRICS
from tests.advice_fixtures import task_project, write_task
from tests.training_fixtures import tiny_base  # noqa: F401

pytest.importorskip("sentence_transformers")
pytest.importorskip("optuna")

pytestmark = pytest.mark.train

ROOT = Path(__file__).parents[2]
TRIALS: dict[str, Any] = {
    "learning_rate": [1e-3, 2e-2], "temperature": [], "epochs": [1.0, 4.0], "startup": 2,
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A model this small gains nothing from threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def project(folder: Path, base: str, **changes: Any) -> Project:
    write_task(folder / "data")
    trials = TRIALS | changes.pop("trials", {})
    return task_project(folder, base, trials=trials, **changes)


def figures(folder: Path) -> tuple[Study, list[Trial]]:
    with Project(load_settings(folder)) as opened:
        return opened.trials()[-1]


def test_the_best_of_several_recipes_becomes_a_version(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    project(tmp_path, tiny_base).close()
    command = ["-c", str(tmp_path), "train", "--trials", "5", "--epochs", "1", "--json"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    study, trials = figures(tmp_path)
    assert [trial.number for trial in trials] == [0, 1, 2, 3, 4]
    assert {trial.state for trial in trials} <= {"complete", "pruned"}
    assert trials[0].params == {"learning_rate": 5e-3, "epochs": 1.0}  # what is configured
    assert len({trial.params["learning_rate"] for trial in trials}) == 5
    assert all(1e-3 <= trial.params["learning_rate"] <= 2e-2 for trial in trials)
    ended = [trial for trial in trials if trial.state == "complete"]
    best = max(ended, key=lambda trial: trial.value or 0)
    assert made["best"]["number"] == best.number
    assert study.version == made["trained"]["version"]["name"] == "v1"
    version = made["trained"]["version"]
    assert version["metrics"]["after"]["ndcg@10"] == best.value
    assert version["recipe"]["learning_rate"] == best.params["learning_rate"]
    assert best.value is not None
    assert best.value > study.before["ndcg@10"]
    assert made["looks"] == sum(len(trial.history) for trial in trials)
    runs = sorted(path.name for path in (tmp_path / ".reindex/runs").iterdir())
    assert runs == ["v1"]  # only the best model stays

    again = json.loads(CliRunner().invoke(main, command).stdout)
    assert again["trials"] == made["trials"]  # none is tried twice
    assert again["trained"]["version"]["name"] == "v1"
    shown = CliRunner().invoke(main, ["-c", str(tmp_path), "trials"])
    assert "became v1" in " ".join(shown.output.split())
    assert "learning_rate 0.005" in shown.output


@pytest.mark.slow
def test_batches_negatives_and_dimensions_are_searched_and_recorded(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    axes: dict[str, Any] = {"learning_rate": [], "epochs": [],
            "batch_size": [8, 16], "negatives": [0, 2],
            "matryoshka_dims": [[32, 8], [32, 16]], "prune": False, "startup": 6}  # fmt: skip
    mined = {"sources": ["random"], "number": 2, "relative_margin": "none"}
    with project(tmp_path, tiny_base, trials=axes, train={"negatives": mined}) as opened:
        made = opened.search_recipes(6)
        _, trials = opened.trials()[-1]
        tried = [trial.params for trial in trials]
        assert {"batch_size", "negatives", "matryoshka_dims"} == set(tried[0])
        for name in tried[0]:
            assert {*map(str, axes[name])} <= {str(params[name]) for params in tried}, name
        best = max(trials, key=lambda trial: trial.value or 0).params
        recipe = made.trained.version.recipe
        assert recipe["batch_size"] == best["batch_size"]
        assert recipe["matryoshka_dims"] == best["matryoshka_dims"]
        (told,) = recipe["lineage"]["objectives"]
        assert told["kind"] == ("triplets" if best["negatives"] else "pairs")


SCRIPT = """
import os, signal, sys
from reindex.project import open_project
from reindex.registry.trials import Studies
import torch; torch.set_num_threads(1)
wanted, number, looks = map(int, sys.argv[2:])
look = Studies.look
def strike(self, study, at, entry):
    seen = look(self, study, at, entry)
    if (at, len(seen.history)) == (number, looks):
        os.kill(os.getpid(), signal.SIGKILL)
    return seen
Studies.look = strike
with open_project(sys.argv[1]) as project:
    project.search_recipes(wanted)
"""


def search(folder: Path, trials: int, number: int = -1, looks: int = 0) -> int:
    """In another process, killed after so many evaluations of a trial."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), str(trials), str(number), str(looks)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.slow
def test_a_killed_search_goes_on_with_the_trial_that_it_was_in(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    project(tmp_path / "straight", tiny_base).close()
    assert search(tmp_path / "straight", 4) == 0
    project(tmp_path / "killed", tiny_base).close()
    for number, looks in ((0, 1), (2, 1), (3, 1)):
        assert search(tmp_path / "killed", 4, number, looks) == -signal.SIGKILL
    _, cut = figures(tmp_path / "killed")
    assert cut[-1].state == "running"
    assert search(tmp_path / "killed", 4) == 0
    (study, straight), (other, killed) = (
        figures(tmp_path / name) for name in ("straight", "killed")
    )

    def told(trials: list[Trial]) -> list[Any]:
        return [(one.number, one.state, one.params, one.value, one.history) for one in trials]

    assert told(killed) == told(straight)  # none lost, none twice, the same figures
    assert (study.version, study.before) == (other.version, other.before)


def test_a_trial_that_diverges_is_recorded_and_the_others_go_on(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    trials = {"learning_rate": [1e25, 2e25], "epochs": []}
    with project(tmp_path, tiny_base, trials=trials) as opened:
        found = opened.search_recipes(2)
        assert [trial.state for trial in found.trials] == ["complete", "failed"]
        assert "diverged" in found.trials[1].why
        assert found.best.number == 0


def test_the_best_trial_is_averaged_and_measured_for_forgetting(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    """What a trial left is taken over as it is, general sets included."""
    averaging = {"base_weight": 0.25, "general": ["data"]}
    with project(
        tmp_path, tiny_base, trials={"epochs": []},
        train={"averaging": averaging, "epochs": 1, "evaluations": 1},
    ) as opened:  # fmt: skip
        found = opened.search_recipes(1)
        assert found.best.state == "complete"
        told = found.trained.version.metrics["averaging"]
        assert set(told["general_after"]) == {f"{name} (data)" for name in METRICS}


def test_the_best_trial_is_the_first_of_several_rounds_and_turned_after_the_last(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    mined = {"sources": ["random"], "rounds": 2, "relative_margin": "none"}
    with project(
        tmp_path, tiny_base, trials={"epochs": []},
        train={"negatives": mined, "rotate": True, "epochs": 1, "evaluations": 1},
    ) as opened:  # fmt: skip
        found = opened.search_recipes(1)
        first, second = found.trained.version.recipe["lineage"]["rounds"]
        assert found.best.value == first["metrics"]["ndcg@10"]  # handed over, not trained again
        assert found.best.history[-1]["step"] == first["steps"]
        assert second["steps"] > 0
        assert found.trained.version.metrics["rotation"]["prefixes"]


CLASHES: list[Any] = [
    ({"negatives": [2, 16]}, {"negatives": {"sources": ["random"], "number": 2, "phases": 8}},
     "{'negatives': 16} does not go with [train]: number × phases is 128, more than 64."),
    ({"matryoshka_dims": [[32, 8], [32, 16, 8]]},
     {"matryoshka_dims": [32, 8], "matryoshka_weights": [1, 2]},
     "{'matryoshka_dims': [32, 16, 8]} does not go with [train]: matryoshka_weights: expected one"),
]  # fmt: skip


@pytest.mark.parametrize(("ranges", "train", "said"), CLASHES, ids=["negatives", "dimensions"])
def test_a_value_that_no_training_can_have_is_refused_before_the_search(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
    ranges: dict[str, Any],
    train: dict[str, Any],
    said: str,
) -> None:
    with project(tmp_path, tiny_base, trials=ranges, train=train) as opened:
        with pytest.raises(ConfigError) as refused:
            opened.search_recipes(2)
        assert said in str(refused.value)
        assert "Take these values out of [trials]" in str(refused.value)
        assert not opened.trials()


def test_a_search_that_stands_at_such_a_value_goes_on(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one stood that was begun when values were not checked."""
    ranges = {"learning_rate": [], "epochs": [], "matryoshka_dims": [[32, 8], [32, 16, 8]]}
    train = {"matryoshka_dims": [32, 8], "matryoshka_weights": [1, 2], "epochs": 1}
    with project(tmp_path, tiny_base, trials=ranges, train=train) as opened:
        with monkeypatch.context() as then:
            then.setattr("reindex.stages.trials.check_space", lambda *_: None)
            opened.search_recipes(1)
        study, _ = opened.trials()[-1]
        params = {"matryoshka_dims": [32, 16, 8]}
        Studies(opened.registry).begin(study.id, 1, params=params, seed=study.seed)
        found = opened.search_recipes(2)
        assert [trial.state for trial in found.trials] == ["complete", "failed"]
        assert "matryoshka_weights: expected one for each" in found.trials[1].why


def test_what_cannot_be_searched_is_said(tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    with (
        project(tmp_path / "one", tiny_base, trials={"learning_rate": [], "epochs": []}) as opened,
        pytest.raises(ConfigError, match="nothing to try"),
    ):
        opened.search_recipes(2)
    with project(tmp_path / "two", tiny_base) as opened:
        (tmp_path / "two/data/qrels/dev.tsv").unlink()
        with pytest.raises(ConfigError, match="dev queries, and there are none"):
            opened.search_recipes(2)
    wrong = CliRunner().invoke(main, ["-c", str(tmp_path / "two"), "train", "--trials", "0"])
    assert wrong.exit_code == 2
