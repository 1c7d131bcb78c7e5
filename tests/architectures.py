"""Tiny models of many architectures with random weights: mechanics, never quality.

Each maker writes a plain transformers folder; `as_checkpoint` puts sentence-transformers' modules
around it. Tokenizers are trained here on a few sentences, so that nothing is fetched.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

DIM = 32
SENTENCES = (
    "What is the treatment for a headache, and how long does it take to work?",
    "The same text must give the same vector, whatever it is batched with.",
    "Represent this question for retrieving passages: query: passage: instruct",
    "A decoder reads from left to right; its last token has seen the whole text.",
    "Vectors of one space may be compared, vectors of two spaces may not.",
)
_SIZES = {
    "hidden_size": DIM,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.2,  # so that texts come to lie apart
}


def _trained(tokenizer: Any, trainer: Any) -> Any:
    tokenizer.train_from_iterator(SENTENCES * 20, trainer)
    return tokenizer


def _wordpiece() -> Any:
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    _trained(made, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, **{f"{name}_token": special[i] for name, i in names.items()}
    )


def _unigram() -> Any:
    """SentencePiece's way, with the ids of XLM-R: ``<s>`` 0, ``<pad>`` 1, ``</s>`` 2."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=special, unk_token="<unk>")
    _trained(made, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", cls_token="<s>", pad_token="<pad>",
        eos_token="</s>", sep_token="</s>", unk_token="<unk>", mask_token="<mask>",
    )  # fmt: skip


def _bytes(*, eos: bool, padding: str | None = "<pad>", side: str = "right") -> Any:
    """Byte-level BPE, as decoders have it; ``eos`` is appended to every text, or nothing."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    _trained(made, trainer)
    if eos:
        made.post_processor = processors.TemplateProcessing(
            single="$A <eos>", special_tokens=[("<eos>", 1)]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<eos>", pad_token=padding, padding_side=side
    )


def _save(folder: Path, kind: str, config: Mapping[str, Any], tokenizer: Any) -> Path:
    import torch
    import transformers

    torch.manual_seed(7)
    settings = getattr(transformers, f"{kind}Config")(
        **{"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, **config}
    )
    model = getattr(transformers, _CLASSES.get(kind, f"{kind}Model"))(settings)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if kind != "Bert":  # the only one here that has segments
        file = folder / "tokenizer_config.json"
        known = json.loads(file.read_text("utf-8"))
        names = ["input_ids", "attention_mask"]
        file.write_text(json.dumps(known | {"model_input_names": names}), "utf-8")
    return folder


_CLASSES = {"T5": "T5EncoderModel"}


def bert(folder: Path, **changes: Any) -> Path:
    """BERT: learned absolute positions, segments."""
    return _save(folder, "Bert", {**_SIZES, "max_position_embeddings": 128} | changes, _wordpiece())


def mpnet(folder: Path) -> Path:
    """MPNet: positions counted from behind the padding id, relative attention bias."""
    return _save(folder, "MPNet", {**_SIZES, "max_position_embeddings": 130}, _unigram())


def xlm_roberta(folder: Path) -> Path:
    """XLM-R: positions counted from behind the padding id, one kind of segment."""
    sizes = {**_SIZES, "max_position_embeddings": 130, "type_vocab_size": 1}
    return _save(folder, "XLMRoberta", sizes, _unigram())


def distilbert(folder: Path) -> Path:
    """DistilBERT: other names for the same sizes, no segments."""
    sizes = {"dim": DIM, "hidden_dim": 64, "n_layers": 2, "n_heads": 4}
    more = {"max_position_embeddings": 128, "initializer_range": 0.2}
    return _save(folder, "DistilBert", {**sizes, **more}, _wordpiece())


def modernbert(folder: Path) -> Path:
    """ModernBERT: rotary positions, attention alternately of a window and of all."""
    sizes = {**_SIZES, "max_position_embeddings": 128, "local_attention": 16}
    more = {"global_attn_every_n_layers": 2, "attn_implementation": "eager"}
    return _save(folder, "ModernBert", {**sizes, **more, "reference_compile": False}, _wordpiece())


def t5(folder: Path) -> Path:
    """T5's encoder: relative positions alone."""
    sizes = {"d_model": DIM, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    return _save(folder, "T5", {**sizes, "decoder_start_token_id": 0}, _bytes(eos=True))


def decoder(
    folder: Path, kind: str = "Qwen2", *, eos: bool = True, side: str = "right",
    padding: str | None = "<pad>", **changes: Any,
) -> Path:  # fmt: skip
    """A causal model: rotary positions, grouped heads, RMS norms."""
    sizes = {**_SIZES, "max_position_embeddings": 512, "num_key_value_heads": 2, "head_dim": 8}
    tokenizer = _bytes(eos=eos, padding=padding, side=side)
    return _save(folder, kind, {**sizes, "bos_token_id": 1, "eos_token_id": 1} | changes, tokenizer)


def gpt2(folder: Path) -> Path:
    """GPT-2: causal with learned absolute positions, no padding token."""
    sizes = {"n_embd": DIM, "n_layer": 2, "n_head": 4, "n_positions": 128, "n_inner": 64}
    more = {"initializer_range": 0.2, "bos_token_id": 1, "eos_token_id": 1}
    return _save(folder, "GPT2", {**sizes, **more}, _bytes(eos=False, padding=None))


MAKERS: Mapping[str, Callable[..., Path]] = {
    "bert": bert,
    "mpnet": mpnet,
    "xlm-roberta": xlm_roberta,
    "distilbert": distilbert,
    "modernbert": modernbert,
    "t5": t5,
    "gpt2": gpt2,
    "qwen2": decoder,
    "qwen3": lambda folder: decoder(folder, "Qwen3"),
    "llama": lambda folder, **changes: decoder(folder, "Llama", **changes),
    "mistral": lambda folder: decoder(folder, "Mistral", sliding_window=24),
}


def as_checkpoint(
    plain: Path,
    folder: Path,
    *,
    pooling: Any = "mean",
    max_length: int = 48,
    include_prompt: bool = True,
    more: tuple[Any, ...] = (),
    prompts: Mapping[str, str] | None = None,
) -> Path:
    """transformer -> pooling -> whatever ``more`` brings, saved by sentence-transformers."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules as models

    transformer = models.Transformer(str(plain), max_seq_length=max_length)
    width = transformer.get_embedding_dimension()
    pool = models.Pooling(width, pooling_mode=pooling, include_prompt=include_prompt)
    model = SentenceTransformer(modules=[transformer, pool, *more], device="cpu")
    model.prompts = dict(prompts or {})
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


def clip(folder: Path) -> Path:
    """CLIP: a text and a vision tower, their projections, and an image processor."""
    import torch
    import transformers
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    vocabulary.write_text(json.dumps({word: place for place, word in enumerate(words)}), "utf-8")
    merges.write_text("#version: 0.2\n", "utf-8")
    slow = transformers.CLIPTokenizer(str(vocabulary), str(merges), model_max_length=40)
    slow.save_pretrained(folder)
    tokenizer = transformers.CLIPTokenizerFast.from_pretrained(folder)
    start, end = len(words) - 2, len(words) - 1
    sizes = {
        "hidden_size": DIM,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "initializer_factor": 3.0,
    }
    text = {**sizes, "vocab_size": len(tokenizer), "max_position_embeddings": 40}
    text |= {"bos_token_id": start, "eos_token_id": end, "pad_token_id": end}
    vision = {**sizes, "image_size": 32, "patch_size": 8}
    torch.manual_seed(7)
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    transformers.CLIPProcessor(processor, tokenizer).save_pretrained(folder)
    return folder
