"""Training on packed texts is the same training: vectors, gradients, and dropout that replays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reindex.training.packing import PackedTransformer, pack
from tests.model_fixtures import base_model_path

torch = pytest.importorskip("torch", reason="the [train] extra")
transformers = pytest.importorskip("transformers", reason="the [train] extra")

pytestmark = pytest.mark.train

TEXTS = [f"{'river stone ' * (number * 7 % 61)}end {number}" for number in range(45)]
"""From 4 to 124 tokens: alone and several in a block of attention, and more than one chunk."""


def make(folder: Path, kind: str = "Bert", pooling: str = "mean", **changes: Any) -> Any:
    """A tiny random model with MiniLM's tokenizer, in training mode; no dropout unless asked."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    torch.manual_seed(7)
    sizes = {
        "vocab_size": 30522, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": 140, "initializer_range": 0.2,
        "pad_token_id": 0, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    config = getattr(transformers, f"{kind}Config")(**{**sizes, **changes})
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(base_model_path()).save_pretrained(folder)
    transformer = modules.Transformer(str(folder), max_seq_length=128)
    parts = [transformer, modules.Pooling(32, pooling_mode=pooling), modules.Normalize()]
    return SentenceTransformer(modules=parts, device="cpu").train()


def step(model: Any, texts: list[str] = TEXTS) -> tuple[Any, dict[str, Any]]:
    """Sentence embeddings, and every parameter's gradient of an arbitrary function of them."""
    model.zero_grad()
    vectors = model(model.preprocess(texts))["sentence_embedding"]
    weights = torch.sin(torch.arange(vectors.numel(), dtype=torch.float32)).view_as(vectors)
    (vectors * weights).sum().backward()
    gradients = {
        name: item.grad.clone() for name, item in model.named_parameters() if item.grad is not None
    }
    return vectors.detach(), gradients


def assert_same(first: tuple[Any, dict[str, Any]], second: tuple[Any, dict[str, Any]]) -> None:
    torch.testing.assert_close(first[0], second[0], atol=2e-5, rtol=1e-4)
    assert first[1].keys() == second[1].keys()
    largest = max(float(item.abs().max()) for item in first[1].values())
    for name, gradient in first[1].items():
        torch.testing.assert_close(
            second[1][name], gradient, atol=2e-5 * largest, rtol=1e-3, msg=name
        )


@pytest.mark.parametrize(
    ("kind", "pooling"),
    [("Bert", "mean"), ("Bert", "cls"), ("Bert", "max"), ("Roberta", "mean"), ("XLMRoberta", "cls"),
     ("Camembert", "mean")],
)  # fmt: skip
def test_vectors_and_gradients_are_those_of_the_plain_forward_pass(
    tmp_path: Path, kind: str, pooling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reindex.training.packing.CHUNK_TOKENS", 700)
    model = make(tmp_path, kind, pooling)
    plain = step(model)
    assert pack(model)
    assert_same(plain, step(model))
    assert_same(plain, step(model))  # and a second time


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("MPNet", {}), ("DistilBert", {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 4}),
     ("Bert", {"position_embedding_type": "relative_key"}), ("Bert", {"is_decoder": True})],
)  # fmt: skip
def test_other_architectures_keep_their_own_forward_pass(
    tmp_path: Path, kind: str, changes: dict[str, Any]
) -> None:
    model = make(tmp_path, kind, **changes)
    assert not pack(model)
    assert not isinstance(model[0].forward, PackedTransformer)


def test_what_a_stream_cannot_give_is_left_to_the_model(tmp_path: Path) -> None:
    model = make(tmp_path)
    features = model.preprocess(TEXTS)
    width = features["input_ids"].shape[1]
    left = {
        key: torch.stack([row.roll(width - int(mask.sum())) for row, mask in
                          zip(value, features["attention_mask"], strict=True)])
        for key, value in features.items() if getattr(value, "ndim", 0) == 2
    }  # fmt: skip
    plain = model({**features, **left})["sentence_embedding"]
    assert pack(model)
    torch.testing.assert_close(model({**features, **left})["sentence_embedding"], plain)
    model[0].auto_model.config.output_hidden_states = True
    assert "all_layer_embeddings" in model(dict(features))


def test_frozen_layers_and_adapters_get_the_same_gradients(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    model = make(tmp_path)
    targets = ["query", "value"]
    model.add_adapter(peft.LoraConfig(target_modules=targets, r=2, init_lora_weights=False))
    model.train()
    plain = step(model)
    assert plain[1]
    assert all("lora" in name for name in plain[1])
    assert pack(model)
    assert_same(plain, step(model))


def test_dropout_has_its_probability_and_replays_with_torch(tmp_path: Path) -> None:
    from reindex.training.packed_ops import Dice, dropout

    torch.manual_seed(3)
    ones = torch.ones(1000, 1001)
    for chance in (0.1, 0.5):
        dropped = dropout(ones, chance, Dice())
        assert dropped.unique().tolist() == pytest.approx([0.0, 1 / (1 - chance)])
        share = float((dropped == 0).float().mean())
        assert share == pytest.approx(chance, abs=4 * (chance * (1 - chance) / 1e6) ** 0.5)
    model = make(tmp_path, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.3)
    assert pack(model)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, again = step(model), step(model)
    assert not torch.allclose(first[0], again[0], atol=1e-3)
    torch.set_rng_state(state)
    replayed = step(model)
    assert torch.equal(first[0], replayed[0])
    assert all(torch.equal(first[1][name], replayed[1][name]) for name in first[1])


@pytest.mark.slow
def test_gradients_pass_through_dropout_as_the_output_does() -> None:
    from reindex.training.packed_ops import Attention, Dice, blocks_of, dropout

    torch.manual_seed(5)
    inputs = torch.randn(30, 3 * 8, dtype=torch.float64, requires_grad=True)
    blocks = blocks_of([3, 2, 25], most=6)
    assert [(block.start, block.end) for block in blocks] == [(0, 5), (5, 30)]

    def compute(stream: Any) -> Any:
        torch.manual_seed(9)  # the same dice every time
        mixed = Attention.apply(stream, blocks, 2, 0.25, Dice())
        return dropout(mixed, 0.25, Dice(), residual=mixed)

    assert torch.autograd.gradcheck(compute, (inputs,), eps=1e-6, atol=1e-6)


def test_half_precision_is_as_near_as_the_plain_forward_pass(tmp_path: Path) -> None:
    model = make(tmp_path)
    exact = step(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = step(model)
        assert pack(model)
        packed = step(model)
    for name, gradient in exact[1].items():
        least = 0.02 * float(gradient.norm()) + 1e-4
        away = float((packed[1][name] - gradient).norm())
        assert away < 2 * float((plain[1][name] - gradient).norm()) + least, name
    assert float((packed[0] - exact[0]).abs().max()) < 0.1
