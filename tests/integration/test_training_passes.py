"""A batch that a GPU's memory does not hold: tried, found, and trained with cached gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reindex.errors import ModelError
from reindex.training import passes, session
from reindex.training.base import load_base
from reindex.training.finetune import fine_tune
from reindex.training.passes import MemoryProbe, Passes, largest_batch, rows_at_once
from reindex.training.trainer import compile_layers
from tests.training_fixtures import pairs, settings, tiny_base  # noqa: F401

torch = pytest.importorskip("torch", reason="the [train] extra")

pytestmark = pytest.mark.train

ROOM = 12
"""Rows that the made-up card holds."""


@pytest.fixture(name="model")
def _model(tiny_base: str) -> Any:  # noqa: F811
    """A model on a device that holds no more than `ROOM` rows of activations."""
    model = load_base(tiny_base, max_length=16).cpu()
    own = model.forward

    def forward(features: dict[str, Any], **more: Any) -> Any:
        rows, tokens = features["input_ids"].shape
        assert tokens == 16, "the longest text that may come"
        if rows > ROOM:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return own(features, **more)

    model.forward = forward
    return model.eval()


def test_what_fits_is_found_by_trying_and_changes_nothing(model: Any) -> None:
    before = {name: item.clone() for name, item in model.state_dict().items()}
    state = torch.get_rng_state()
    probe = MemoryProbe(model, 3, half=True)
    assert rows_at_once(probe, 12) == 12
    assert rows_at_once(probe, 64) == 8
    assert largest_batch(probe, 64) == 8
    assert not model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(item.grad is None for item in model.parameters())
    assert all(torch.equal(item, before[name]) for name, item in model.state_dict().items())


def test_another_error_than_lack_of_memory_is_not_taken_for_it(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(model, "forward", broken)
    with pytest.raises(RuntimeError, match="broken"):
        MemoryProbe(model, 2, half=False)(4)


def test_a_model_of_which_no_row_fits_is_an_error_that_says_what_to_do(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Card:
        """A model's device, when the model is asked."""

        device = torch.device("cuda")
        max_seq_length = 16

    monkeypatch.setattr(passes, "cuda_limit", lambda _: torch.no_grad())
    monkeypatch.setattr(passes, "MemoryProbe", lambda *_, **__: lambda _: False)
    with pytest.raises(ModelError, match=r"one row, 3 texts of 16 tokens.*train\.lora\.rank"):
        passes.passes_of(Card(), 3, 64, half=True)


def test_rows_that_do_not_fit_at_once_are_trained_with_cached_gradients_all_the_same(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = settings(dropout=0.0)
    plain = fine_tune(asked, pairs(), None, tmp_path / "plain", base=tiny_base)
    monkeypatch.setattr(session, "passes_of", lambda *_, **__: Passes(whole=4, rows=4))
    cached = fine_tune(asked, pairs(), None, tmp_path / "cached", base=tiny_base)
    assert plain.lineage["passes"] == {"rows": 32, "cached": []}
    assert cached.lineage["passes"] == {"rows": 4, "cached": ["pairs"]}
    losses = [[entry["loss"] for entry in result.history] for result in (plain, cached)]
    assert losses[0]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert plain.speed["pairs_per_second"] > 0


def test_compiled_layers_keep_their_names_and_vectors(tiny_base: str) -> None:  # noqa: F811
    model, other = (load_base(tiny_base, max_length=None).cpu().eval() for _ in range(2))
    compile_layers(model, backend="eager")
    assert model.state_dict().keys() == other.state_dict().keys()
    for texts in (["apple river"], ["stone", "cloud horse table"]):
        assert model.encode(texts) == pytest.approx(other.encode(texts), abs=1e-6)
