"""LoRA: low-rank adapters beside frozen weights, merged into them before anything is saved.

Hu et al. 2021 (arXiv:2106.09685); on 4-bit weights (QLoRA) Dettmers et al. 2023
(arXiv:2305.14314). Checkpoints during a training hold the adapters alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reindex.errors import MissingExtra, ModelError
from reindex.training.libraries import load

if TYPE_CHECKING:
    from reindex.config.training_losses import LoraSettings

FILE = "adapters.safetensors"


def attach(model: Any, settings: LoraSettings) -> Any:
    """Put adapters into a model in place, and freeze all else; returns peft's tuner.

    Raises:
        ModelError: no layer has the name of a target.
        MissingExtra: peft is not installed.
    """
    peft = load("peft")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha or 2 * settings.rank,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets) or "all-linear",
        task_type="FEATURE_EXTRACTION",
    )
    try:
        return peft.LoraModel(model[0].auto_model, config, "default")
    except ValueError as error:  # peft found none of the targets
        names = sorted({name.rsplit(".", 1)[-1] for name in _linear(model)})
        raise ModelError(
            f"train.lora.targets = {list(settings.targets)} are no layers of this model. Its "
            f"linear layers end in: {', '.join(names)}."
        ) from error


def _linear(model: Any) -> list[str]:
    linear = load("torch").nn.Linear
    modules = model[0].auto_model.named_modules()
    return [name for name, module in modules if isinstance(module, linear)]


def weights(model: Any) -> dict[str, Any]:
    """The adapters' weights, by name."""
    return {name: item for name, item in model.named_parameters() if ".lora_" in name}


def save(model: Any, folder: Path) -> None:
    """Write the adapters of a model."""
    plain = {name: item.detach().cpu().contiguous() for name, item in weights(model).items()}
    load("safetensors.torch").save_file(plain, str(folder / FILE))


def restore(model: Any, folder: Path) -> None:
    """Take the adapters of a checkpoint into a model that has such.

    Raises:
        ModelError: the checkpoint's are of another shape.
    """
    saved = load("safetensors.torch").load_file(str(folder / FILE))
    own = weights(model)
    if {name: item.shape for name, item in own.items()} != {
        name: item.shape for name, item in saved.items()
    }:
        raise ModelError(f"The adapters in {folder} are not those of this training.")
    with load("torch").no_grad():
        for name, item in own.items():
            item.copy_(saved[name])


def merged(model: Any, settings: LoraSettings, folder: Path) -> Any:
    """A base model with a checkpoint's adapters added into its weights: a plain model again.

    The base is the full-precision one, also after QLoRA: what is exported are its weights.
    """
    tuner = attach(model, settings)
    restore(model, folder)
    tuner.merge_and_unload()  # in place
    return model


def quantization(settings: LoraSettings) -> Any:
    """What QLoRA loads the base with: 4-bit NormalFloat, computing in bfloat16. Else None.

    On a CPU it computes in float32, which is faster there than bfloat16 that is not native.

    Raises:
        MissingExtra: bitsandbytes is not installed.
    """
    if not settings.rank or not settings.quantize:
        return None
    torch = load("torch")
    try:
        load("bitsandbytes")
    except MissingExtra:
        raise MissingExtra("qlora", "bitsandbytes") from None
    return load("transformers").BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if torch.cuda.is_available() else torch.float32,
    )
