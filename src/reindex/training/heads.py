"""Weights that a loss has of its own, such as a classifier: kept with a training's checkpoints.

The model's checkpoint does not hold them, and without them a resumed training would begin with
others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reindex.training.libraries import load

_FILE = "heads.safetensors"


def weights(losses: Sequence[Any], model: Any) -> dict[str, Any]:
    """The losses' trainable weights that are not the model's, by objective and name."""
    own = {id(parameter) for parameter in model.parameters()}
    return {
        f"{place}.{name}": parameter
        for place, loss in enumerate(losses)
        for name, parameter in loss.named_parameters()
        if parameter.requires_grad and id(parameter) not in own
    }


def save(losses: Sequence[Any], model: Any, folder: Path) -> None:
    """Write them beside the model, if there are any."""
    found = {
        name: item.detach().cpu().contiguous() for name, item in weights(losses, model).items()
    }
    if found:
        load("safetensors.torch").save_file(found, str(folder / _FILE))


def restore(losses: Sequence[Any], model: Any, folder: Path) -> None:
    """Take them from a checkpoint that has them."""
    file = folder / _FILE
    if not file.is_file():
        return
    saved = load("safetensors.torch").load_file(str(file))
    with load("torch").no_grad():
        for name, parameter in weights(losses, model).items():
            parameter.copy_(saved[name])


def clear_gradients(losses: Sequence[Any], model: Any) -> Any:
    """A trainer's callback: every step begins with heads that have no gradient.

    The trainer clears the model's gradients alone, so that a head's would add up over all steps,
    move it in steps of other objectives, and be gone after a resumption.
    """

    class Clear(load("transformers").TrainerCallback):  # type: ignore[misc]
        """Clears them once they are used."""

        def on_optimizer_step(self, *_: Any, **__: Any) -> None:
            for parameter in weights(losses, model).values():
                parameter.grad = None

    return Clear()
