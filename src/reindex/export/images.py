"""Text–image models (CLIP): the two towers of a checkpoint -> two graphs of one space.

The text tower becomes what every text model is: a transformer, the token at the end of the text,
a dense layer (the projection). The vision tower is a graph from pixels to the projected vector.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reindex.artifact import ImageTower, Probes
from reindex.encoder.images import EMBEDDING, PIXELS, ImageEncoder, load_image, probe_image
from reindex.encoder.runtime import unit
from reindex.errors import ArtifactError, ParityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reindex.config import ExportSettings

FILES = {"int8": "onnx/vision_qint8.onnx", "fp32": "onnx/vision.onnx"}


def text_tower(clip: Any) -> tuple[Any, Any]:
    """The text transformer, and its projection as a dense layer of sentence-transformers."""
    import transformers
    from sentence_transformers.sentence_transformer import modules

    tower = transformers.CLIPTextModel(clip.config.text_config).eval()
    tower.text_model.load_state_dict(clip.text_model.state_dict())
    weight = clip.text_projection.weight.detach()
    dense = modules.Dense(
        weight.shape[1], weight.shape[0], bias=False, activation_function=None, init_weight=weight
    )
    return tower, dense


def read_processor(processor: Any, folder: Path) -> dict[str, Any]:
    """What an image processor does, as the fields of `ImageTower`.

    Raises:
        ArtifactError: it does what the encoder cannot do without transformers.
    """
    facts = processor.to_dict()
    if type(processor).__name__ not in ("CLIPImageProcessor", "CLIPImageProcessorFast"):
        raise ArtifactError(
            f"{folder}: expected images to be prepared by CLIPImageProcessor; found "
            f"{type(processor).__name__}, which the encoder cannot do."
        )
    size, crop = facts["size"], facts["crop_size"]
    short = (size["shortest_edge"],) if "shortest_edge" in size else (size["height"], size["width"])
    return {
        "resize": short if facts["do_resize"] else (),
        "crop": (crop["height"], crop["width"]) if facts["do_center_crop"] else (),
        "resample": int(facts["resample"]),
        "rescale": float(facts["rescale_factor"]) if facts["do_rescale"] else 1.0,
        "mean": tuple(facts["image_mean"]) if facts["do_normalize"] else (0.0, 0.0, 0.0),
        "std": tuple(facts["image_std"]) if facts["do_normalize"] else (1.0, 1.0, 1.0),
    }


def write_vision(clip: Any, folder: Path) -> None:
    """The fp32 graph of the vision tower: pixels ``(n, 3, height, width)`` -> ``(n, dim)``."""
    import torch

    class Tower(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.vision, self.projection = clip.vision_model, clip.visual_projection

        def forward(self, pixel_values: Any) -> Any:
            return self.projection(self.vision(pixel_values=pixel_values).pooler_output)

    side = clip.config.vision_config.image_size
    torch.onnx.export(
        Tower().eval(),
        (torch.zeros(1, 3, side, side),),
        str(folder / FILES["fp32"]),
        input_names=[PIXELS],
        output_names=[EMBEDDING],
        dynamic_axes={PIXELS: {0: "batch_size"}, EMBEDDING: {0: "batch_size"}},
        opset_version=17,
        dynamo=False,
    )


def judge_images(
    model: Any, folder: Path, tower: ImageTower, references: Sequence[str], settings: ExportSettings
) -> tuple[ImageTower, dict[str, float]]:
    """The tower with its probes, and its cosines to torch: on the probe, and on some documents.

    Raises:
        ParityError: out of tolerance.
    """
    images = [probe_image(), *(_readable(references))]
    expected = unit(np.asarray(model.encode(images, batch_size=1, show_progress_bar=False)))
    encoders = {graph: ImageEncoder(folder, tower, graph) for graph in FILES}
    found = {
        graph: np.stack([encoder.embed(image) for image in images])
        for graph, encoder in encoders.items()
    }
    cosines = {graph: (rows * expected).sum(axis=1) for graph, rows in found.items()}
    figures = {
        "images": float(len(images)),
        "image_fp32_cosine_min": float(cosines["fp32"].min()),
        "image_int8_cosine_mean": float(cosines["int8"].mean()),
    }
    bounds = {
        "image_fp32_cosine_min": settings.min_fp32_cosine,
        "image_int8_cosine_mean": settings.min_int8_cosine,
    }
    wrong = [f"{k} is {figures[k]:.5f}, expected at least {v}" for k, v in bounds.items()
             if not figures[k] >= v]  # fmt: skip
    if wrong:
        raise ParityError(
            f"The vision graph does not agree with the checkpoint: {'; '.join(wrong)}. Nothing "
            "was published. Look at the checkpoint, or change the tolerances in [export]."
        )
    probes = {graph: Probes.pack(rows[0]) for graph, rows in found.items()}
    return replace(tower, probes=probes), figures


def _readable(references: Sequence[str]) -> list[Any]:
    from reindex.records import image_path

    found = []
    for reference in references:
        try:
            found.append(load_image(Path(image_path(reference))))
        except (OSError, ValueError):  # a dead letter of the build, not the export's affair
            continue
    return found
