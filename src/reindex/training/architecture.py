"""What a model's architecture asks for: plain text in, padding that changes no vector, pooling.

sentence-transformers loads nearly everything. What it does not look after is done here, for
training, export and bulk work alike, so that all three see the same model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from reindex.errors import ModelError
from reindex.training.images import is_text_image, read_images
from reindex.training.libraries import load, quiet, sentence_transformers_part

PADDING_TOLERANCE = 1e-3
"""How far a component of a unit vector may move with padding: bf16 and fused kernels round."""
_DECLARED = "config_sentence_transformers.json"
_TRIAL = ("padding", "A text must have one vector, whatever it is padded to in a batch. " * 2)


def is_decoder(config: Any) -> bool:
    """Whether transformers knows this architecture as a causal language model, and only so."""
    auto = load("transformers").models.auto.modeling_auto
    causal, masked = (
        getattr(auto, f"MODEL_FOR_{kind}_LM_MAPPING_NAMES") for kind in ("CAUSAL", "MASKED")
    )
    return config.model_type in causal and config.model_type not in masked


def is_cross_encoder(place: str, local: bool) -> bool:
    """Whether a model reads two texts together.

    As sentence-transformers' own file says, which newer releases write; without one, a plain
    transformers folder that classifies sequences does.

    Args:
        place: what `resolve_base` returns.
        local: without asking the Hub, see `without_hub`.

    Raises:
        ModelError: it cannot be had.
    """
    declared = _declared(place, local).get("model_type")
    if declared is not None:
        return bool(declared == "CrossEncoder")
    if _file(place, "modules.json", local) is not None:
        return False
    names = _config(place, local).architectures or ()
    return any(name.endswith("ForSequenceClassification") for name in names)


def is_ranker(place: str, local: bool) -> bool:
    """Whether a model is a cross-encoder that gives one score; see `is_cross_encoder`."""
    return is_cross_encoder(place, local) and _config(place, local).num_labels == 1


def _config(place: str, local: bool) -> Any:
    try:
        with quiet():
            return load("transformers").AutoConfig.from_pretrained(
                place, trust_remote_code=False, local_files_only=local
            )
    except Exception as error:  # whatever the hub or transformers raise
        raise ModelError(
            f"The model {place!r} cannot be had ({type(error).__name__}: {error})."
        ) from error


def _declared(place: str, local: bool) -> dict[str, Any]:
    file = _file(place, _DECLARED, local)
    try:
        found = {} if file is None else json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):  # loading the model tells
        return {}
    return found if isinstance(found, dict) else {}


def _file(place: str, name: str, local: bool) -> Path | None:
    """Of a folder, or of a repository of the Hub: a small file is fetched and kept."""
    if Path(place).is_dir():
        file = Path(place) / name
        return file if file.is_file() else None
    try:
        hub = load("huggingface_hub")
        return Path(hub.hf_hub_download(place, name, local_files_only=local))
    except Exception:  # no such file, no such repository, no network: loading the model tells
        return None


def prepare(model: Any, *, name: str, plain: bool, pooling: str | None = None) -> None:
    """Set a freshly loaded model up, in place.

    A decoder from a ``plain`` transformers folder, which says nothing of pooling, is pooled by its
    last token (all others read less of the text; sentence-transformers would take the mean).

    Args:
        model: the sentence-transformers model.
        name: what errors call it.
        plain: it comes from a folder without sentence-transformers' modules.
        pooling: instead of the model's own.

    Raises:
        ModelError: it wraps texts in a chat template, padding changes its vectors, or ``pooling``
            does not fit it.
    """
    _plain_text(model[0], name, inferred=plain)
    if is_text_image(model):
        read_images(model)
    tokenizer = model.tokenizer
    if getattr(tokenizer, "pad_token", "") is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if plain and pooling is None and is_decoder(model[0].auto_model.config):
        pooling = "lasttoken"
    if pooling is not None:
        _pool_by(model, name, pooling)
    model.truncate_dim = None  # the Matryoshka dimensions are the artifact's affair
    _choose_padding(model, name)


def pooling_of(model: Any) -> str:
    """How token vectors become one; concatenated poolings joined by ``+``."""
    if is_text_image(model):
        return "lasttoken"  # where the text ends, then projected
    mode = getattr(model[1], "pooling_mode", "") if len(model) > 1 else ""
    return mode if isinstance(mode, str) else "+".join(mode)


def positions(model: Any) -> int | None:
    """Tokens that fit a model with learned positions; None: as many as one likes.

    XLM-R, MPNet and their kin count from behind the padding id, so that of their 514 positions
    texts have 512.
    """
    transformer = model[0].auto_model
    config = getattr(transformer.config, "text_config", transformer.config)
    found = getattr(config, "max_position_embeddings", None)
    limits = [found] if found and found > 0 else []
    for path, module in transformer.named_modules():
        table = getattr(module, "weight", None)
        if path.endswith("position_embeddings") and table is not None:
            padding = getattr(module, "padding_idx", None)
            limits.append(len(table) - (0 if padding is None else padding + 1))
    return min(limits, default=None)


def _plain_text(transformer: Any, name: str, *, inferred: bool) -> None:
    """Texts go in as they are, not as the messages of a chat."""
    modes = getattr(transformer, "modality_config", {})
    if "message" not in modes:
        return
    if not inferred or "text" not in modes:
        raise ModelError(
            f"{name} wraps every text in a chat template, which an artifact cannot say. Remove "
            '"message" from modality_config in its sentence_bert_config.json if it was trained on '
            "plain texts, or choose another base model."
        )
    modes.pop("message")
    transformer.input_formatter.supported_modalities = list(modes)


def _pool_by(model: Any, name: str, pooling: str) -> None:
    if not hasattr(model[1] if len(model) > 1 else None, "pooling_mode"):
        raise ModelError(
            f"{name} has no pooling module that train.pooling = {pooling!r} could take the place "
            "of. Leave it out."
        )
    modules = sentence_transformers_part("modules")
    before = model[1]
    width = model[0].get_embedding_dimension()
    made = modules.Pooling(width, pooling.split("+"), include_prompt=before.include_prompt)
    if len(model) > 2 and made.get_embedding_dimension() != before.get_embedding_dimension():
        raise ModelError(
            f"train.pooling = {pooling!r} gives {made.get_embedding_dimension()} dimensions, but "
            f"what follows in {name} takes {before.get_embedding_dimension()}."
        )
    model[1] = made


def _choose_padding(model: Any, name: str) -> None:
    """Pad on the side where a text's vector stays its own in a batch of longer ones.

    Decoders on the left, where the last token is in one column, unless their positions are counted
    from there (GPT-2); everything else on the right. Tried, since no config says it.
    """
    sides = ("left", "right") if is_decoder(model[0].auto_model.config) else ("right", "left")
    alone = _vectors(model, _TRIAL[:1])[0]
    moved = {}
    for side in sides:
        model.tokenizer.padding_side = side
        moved[side] = float(np.abs(_vectors(model, _TRIAL)[0] - alone).max())
        if moved[side] <= PADDING_TOLERANCE:
            return
    found = ", ".join(f"{value:.2g} padded on the {side}" for side, value in moved.items())
    raise ModelError(
        f"The vector of a text by {name} depends on what it is batched with: components move by "
        f"{found}. A model must leave padding out by its attention mask; choose another base."
    )


def _vectors(model: Any, texts: tuple[str, ...]) -> Any:
    return model.encode(
        list(texts), batch_size=len(texts), prompt="", normalize_embeddings=True,
        show_progress_bar=False,
    )  # fmt: skip
