"""One text, one vector: in training, in torch's bulk path, in the fp32 graph and when serving.

Tiny models with random weights. Prompts, pooling and max length of every architecture.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reindex.artifact import load_manifest
from reindex.encoder import OnnxEncoder
from reindex.errors import ArtifactError, ModelError
from reindex.export import export_checkpoint
from reindex.torch_encoder import TorchEncoder
from reindex.training.base import copy_base, load_base
from reindex.training.batching import PackedForward
from tests.architectures import DIM, MAKERS, as_checkpoint
from tests.model_fixtures import LOOSE, recipe

pytestmark = pytest.mark.train

PROMPTS = ("Represent this question: ", "passage: ")
LENGTH = 48
TEXTS = (
    "a",
    "What is the treatment for a headache?",
    "A decoder reads from left to right; its last token has seen the whole text. " * 20,
    "Vectors of one space may be compared. " * 4,
    "  two   spaces, a\ttab\nand a line ",
)
"""From one token to many times the max length."""
SAME = 2e-6
"""Largest difference of a component of unit vectors: fp32 arithmetic in another order."""


@dataclass(frozen=True)
class Case:
    """An architecture, how it is pooled, and which side it must be padded on."""

    model: str
    pooling: str
    side: str = "right"
    include_prompt: bool = True
    dense: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        extra = f"-dense{len(self.dense)}" if self.dense else ""
        bare = "" if self.include_prompt else "-without-prompt"
        options = "".join(f"-{key}={value}" for key, value in self.options.items())
        return f"{self.model}-{self.pooling}{bare}{extra}{options}"

    def checkpoint(self, folder: Path) -> Path:
        """Made as somebody else would have: without our prompts, lengths and padding."""
        from sentence_transformers.sentence_transformer import modules

        maker = MAKERS[self.model]
        plain = maker(folder / "plain", **self.options)
        modes = self.pooling.split("+")
        widths = [DIM * len(modes), *self.dense]
        dense = [modules.Dense(*pair) for pair in itertools.pairwise(widths)]
        return as_checkpoint(
            plain, folder / "checkpoint", pooling=modes, max_length=100,
            include_prompt=self.include_prompt, more=(*dense, modules.Normalize()),
        )  # fmt: skip


FAST = [
    Case("bert", "mean"),
    Case("xlm-roberta", "cls"),
    Case("bert", "mean", include_prompt=False, dense=(24,)),
    Case("qwen3", "lasttoken", "left"),
    Case("gpt2", "lasttoken"),
]
MORE = [
    Case("bert", "cls", include_prompt=False),
    Case("bert", "max", include_prompt=False),
    Case("bert", "cls+mean"),
    Case("bert", "mean+cls", dense=(48, 16)),
    Case("bert", "mean_sqrt_len_tokens"),
    Case("mpnet", "cls"),
    Case("distilbert", "mean"),
    Case("modernbert", "mean"),
    Case("modernbert", "cls"),
    Case("t5", "mean", dense=(24,)),
    Case("qwen2", "lasttoken", "left", options={"eos": False}),
    Case("qwen2", "lasttoken", "left", options={"side": "left"}),
    Case("llama", "lasttoken", "left", options={"padding": None}),
    Case("llama", "mean", "left", include_prompt=False),
    Case("mistral", "lasttoken", "left"),
    Case("gpt2", "weightedmean"),
]


def by_torch(folder: Path, prompt: str, texts: tuple[str, ...] = TEXTS, **how: Any) -> np.ndarray:
    """sentence-transformers' own vectors, one text at a time: what all others must agree with."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = LENGTH
    if model.tokenizer.pad_token is None:
        model.tokenizer.pad_token = model.tokenizer.eos_token
    found: np.ndarray = model.encode(
        list(texts), batch_size=1, normalize_embeddings=True, prompt=prompt, **how
    )
    return found


@pytest.mark.parametrize(
    "case", [*FAST, *(pytest.param(case, marks=pytest.mark.slow) for case in MORE)], ids=str
)
def test_one_text_has_one_vector(case: Case, tmp_path: Path) -> None:
    checkpoint = case.checkpoint(tmp_path)
    expected = {prompt: by_torch(checkpoint, prompt) for prompt in PROMPTS}
    report = export_checkpoint(
        checkpoint, tmp_path / "a", settings=LOOSE,
        **recipe(query_prompt=PROMPTS[0], document_prompt=PROMPTS[1], max_length=LENGTH),
    )  # fmt: skip

    # training: the base as `train` loads it, batched, padded and packed as a training batch is
    model = load_base(str(checkpoint), max_length=LENGTH, prompts=PROMPTS)
    assert model.tokenizer.padding_side == case.side
    model.forward = PackedForward(model.forward, 2)
    for prompt in PROMPTS:
        found = model.encode(
            list(TEXTS), batch_size=len(TEXTS), normalize_embeddings=True, prompt=prompt
        )
        np.testing.assert_allclose(found, expected[prompt], atol=SAME)

    # serving: alone and among others, and the bulk path
    encoders = (
        OnnxEncoder(tmp_path / "a", graph="fp32"),
        TorchEncoder(tmp_path / "a", checkpoint, devices=("cpu",)),
    )
    for encoder in encoders:
        np.testing.assert_allclose(encoder.encode_queries(TEXTS), expected[PROMPTS[0]], atol=SAME)
        np.testing.assert_allclose(
            encoder.encode_documents(TEXTS[::-1])[::-1], expected[PROMPTS[1]], atol=SAME
        )
    int8 = OnnxEncoder(tmp_path / "a")
    alone = np.concatenate([int8.encode_queries([text]) for text in TEXTS])
    np.testing.assert_array_equal(int8.encode_queries(TEXTS), alone)
    assert (alone * expected[PROMPTS[0]]).sum(axis=1).min() > 0.97
    assert report.parity["invariance"] == 0


def test_a_decoder_that_says_nothing_of_pooling_is_pooled_by_its_last_token(tmp_path: Path) -> None:
    plain = MAKERS["qwen2"](tmp_path / "plain", side="right")
    model = load_base(str(plain), max_length=LENGTH)
    assert (model[1].pooling_mode, model.tokenizer.padding_side) == ("lasttoken", "left")
    export_checkpoint(plain, tmp_path / "a", settings=LOOSE, **recipe(max_length=LENGTH))
    assert load_manifest(tmp_path / "a").pooling == "lasttoken"
    expected = model.encode(list(TEXTS), normalize_embeddings=True)
    found = OnnxEncoder(tmp_path / "a", graph="fp32").encode_queries(TEXTS)
    np.testing.assert_allclose(found, expected, atol=SAME)


def test_pooling_that_is_asked_for_takes_the_place_of_the_models_own(tmp_path: Path) -> None:
    checkpoint = as_checkpoint(MAKERS["bert"](tmp_path / "plain"), tmp_path / "checkpoint")
    copied = copy_base(str(checkpoint), tmp_path / "copy", pooling="cls+max")
    assert load_base(str(copied), max_length=None)[1].pooling_mode == ("cls", "max")
    report = export_checkpoint(copied, tmp_path / "a", settings=LOOSE, **recipe())
    assert (report.manifest.pooling, report.manifest.dim) == ("cls+max", 2 * DIM)
    np.testing.assert_allclose(
        OnnxEncoder(tmp_path / "a", graph="fp32").encode_queries(TEXTS),
        by_torch(copied, ""),
        atol=SAME,
    )


# -- what cannot be right is refused by name, and nothing is published


def refused(checkpoint: Path, target: Path, **changes: Any) -> str:
    with pytest.raises((ArtifactError, ModelError)) as caught:
        export_checkpoint(checkpoint, target, settings=LOOSE, **recipe(**changes))
    assert not target.exists()
    return str(caught.value)


def test_positions_behind_the_padding_id_are_not_there(tmp_path: Path) -> None:
    """XLM-R's config says 130 positions, but texts have 128: one more would fail when searched."""
    checkpoint = as_checkpoint(MAKERS["xlm-roberta"](tmp_path / "plain"), tmp_path / "checkpoint")
    assert "has 128 positions" in refused(checkpoint, tmp_path / "a", max_length=129)
    with pytest.raises(ModelError, match="at most 128 tokens"):
        load_base(str(checkpoint), max_length=129)


def test_a_chat_template_around_every_text_is_refused(tmp_path: Path) -> None:
    import transformers

    plain = MAKERS["qwen2"](tmp_path / "plain")
    tokenizer = transformers.AutoTokenizer.from_pretrained(plain)
    tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    tokenizer.save_pretrained(plain)
    checkpoint = as_checkpoint(plain, tmp_path / "checkpoint", pooling="lasttoken")
    assert "wraps every text in a chat template" in refused(checkpoint, tmp_path / "a")
    model = load_base(str(plain), max_length=LENGTH)  # merely a base that could chat
    ids = model.preprocess(["query"])["input_ids"][0].tolist()
    assert ids == tokenizer("query")["input_ids"]


def test_a_prompt_that_leaves_nothing_to_pool_is_refused(tmp_path: Path) -> None:
    checkpoint = as_checkpoint(
        MAKERS["gpt2"](tmp_path / "plain"), tmp_path / "checkpoint", include_prompt=False
    )
    message = refused(checkpoint, tmp_path / "a", query_prompt="query: " * 30)
    assert "nothing is left of a short text" in message


def test_a_dense_layer_with_a_function_of_its_own_is_refused(tmp_path: Path) -> None:
    import torch
    from sentence_transformers.sentence_transformer import modules

    dense = modules.Dense(DIM, 16, activation_function=torch.nn.Softplus())
    checkpoint = as_checkpoint(
        MAKERS["bert"](tmp_path / "plain"), tmp_path / "checkpoint", more=(dense,)
    )
    assert "Softplus, which the encoder lacks" in refused(checkpoint, tmp_path / "a")


def test_a_dense_layer_that_was_tampered_with_is_noticed(tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer import modules

    checkpoint = as_checkpoint(
        MAKERS["bert"](tmp_path / "plain"), tmp_path / "checkpoint", more=(modules.Dense(DIM, 16),)
    )
    export_checkpoint(checkpoint, tmp_path / "a", settings=LOOSE, **recipe())
    assert load_manifest(tmp_path / "a").format == 2  # a release that knows no head must refuse it
    (tmp_path / "a" / "2_Dense" / "model.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(ArtifactError, match=r"2_Dense/model\.safetensors is not the file"):
        OnnxEncoder(tmp_path / "a")
