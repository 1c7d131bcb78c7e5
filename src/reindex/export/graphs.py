"""The model -> the artifact's files: two ONNX graphs, the tokenizer, other loaders' configs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reindex.artifact import GRAPH_FILES, MANIFEST_NAME, TOKENIZER_NAME, Graph, hash_files
from reindex.errors import ArtifactError, MissingExtra
from reindex.export.attention import fuse_attention, same_vectors
from reindex.export.model import quiet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reindex.export.model import Checkpoint

_POOLING_KEYS = {
    "mean": "pooling_mode_mean_tokens",
    "cls": "pooling_mode_cls_token",
    "lasttoken": "pooling_mode_lasttoken",
    "max": "pooling_mode_max_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
}


_BATCH = {0: "batch_size", 1: "sequence_length"}


def write_graphs(checkpoint: Checkpoint, folder: Path) -> dict[str, Graph]:
    """Export the fp32 graph, quantize it, and return both with their hashes.

    Raises:
        MissingExtra: the [export] extra is not installed.
        ArtifactError: the architecture cannot be exported.
    """
    fp32, int8 = (folder / GRAPH_FILES[name] for name in ("fp32", "int8"))
    fp32.parent.mkdir(parents=True)
    try:
        with quiet():
            _export_fp32(checkpoint, folder, fp32)
            _quantize(fp32, int8, checkpoint.transformer.config)
            _keep_residuals_apart(int8)
            _fuse(fp32, int8, checkpoint)
    except ImportError as error:
        raise MissingExtra("export", error.name or "optimum-onnx") from error
    return {name: _graph(folder, file) for name, file in GRAPH_FILES.items()}


def write_image_graphs(clip: Any, folder: Path) -> dict[str, Graph]:
    """The graphs of a vision tower, fp32 and int8, with their hashes."""
    from reindex.export.images import FILES, write_vision

    with quiet():
        write_vision(clip, folder)
        _quantize(folder / FILES["fp32"], folder / FILES["int8"], clip.config.vision_config)
    return {name: _graph(folder, file) for name, file in FILES.items()}


def _export_fp32(checkpoint: Checkpoint, folder: Path, target: Path) -> None:
    from optimum.exporters.onnx import onnx_export_from_model

    scratch = folder / "export.part"
    try:
        onnx_export_from_model(
            checkpoint.transformer,
            scratch,
            task="feature-extraction",
            do_validation=False,  # parity is judged on real texts afterwards, and raises
            no_post_process=True,
            **_known_to_optimum(checkpoint.transformer),
        )
    except ImportError:
        raise
    except Exception as error:  # optimum, torch and onnx raise all sorts here
        architecture = type(checkpoint.transformer).__name__
        raise ArtifactError(
            f"{architecture} cannot be exported to ONNX ({type(error).__name__}: {error}). "
            "Choose a base model that optimum supports."
        ) from error
    for file in scratch.glob("model.onnx*"):
        shutil.move(file, target.parent / file.name)
    shutil.rmtree(scratch)


def _known_to_optimum(transformer: Any) -> dict[str, Any]:
    """What optimum has to be told: these it knows alone only as parts of diffusers."""
    if type(transformer).__name__ not in ("T5EncoderModel", "MT5EncoderModel", "CLIPTextModel"):
        return {}
    from optimum.exporters.onnx.model_configs import BertOnnxConfig

    class Encoder(BertOnnxConfig):  # type: ignore[misc]
        inputs = property(lambda _: dict.fromkeys(("input_ids", "attention_mask"), _BATCH))

    config = Encoder(transformer.config, task="feature-extraction")
    return {"custom_onnx_configs": {"model": config}}


def _quantize(source: Path, target: Path, architecture: Any) -> None:
    """fp32 -> the one portable int8 graph.

    Weights: int8 per channel, of reduced range (7 bits), so that the sum of two products cannot
    saturate on CPUs without VNNI: the same vectors everywhere. Only products with weights and the
    embedding tables are quantized: attention's products of two activations would lose precision
    twice and gain no time.
    """
    from onnxruntime.quantization import QuantFormat, QuantizationMode, QuantType
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import QuantizationConfig

    config = QuantizationConfig(
        is_static=False,
        format=QuantFormat.QOperator,
        mode=QuantizationMode.IntegerOps,
        activations_dtype=QuantType.QUInt8,
        weights_dtype=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        operators_to_quantize=["MatMul", "Gemm", "Gather"],
        nodes_to_exclude=_products_of_activations(source),
    )
    scratch = target.parent / "quantize.part"
    external = any(source.parent.glob(f"{source.name}_*"))
    ORTQuantizer(source, config=architecture).quantize(
        config, scratch, file_suffix="qint8", use_external_data_format=external
    )
    for file in scratch.glob("*.onnx*"):
        shutil.move(file, target.parent / file.name)
    shutil.rmtree(scratch)


def _keep_residuals_apart(file: Path) -> None:
    """Write the additions before a layer normalisation as ``Sum``: the same, but never fused.

    onnxruntime fuses ``Add`` and ``LayerNormalization`` into one operator whose CPU kernel takes
    about twice the time of the two. Written into the graph and not set as a session option, it
    holds in every loader, and all compute the same vectors.
    """
    import onnx

    model = onnx.load(str(file), load_external_data=False)
    normalised = {
        node.input[0] for node in model.graph.node if node.op_type == "LayerNormalization"
    }
    for node in model.graph.node:
        if node.op_type == "Add" and node.output[0] in normalised:
            node.op_type = "Sum"
    onnx.save(model, str(file))


def _fuse(fp32: Path, int8: Path, checkpoint: Checkpoint) -> None:
    """Each attention of the int8 graph in one operator, once that is shown on the fp32 graph,
    where quantization does not hide a difference.
    """
    trial = fp32.with_name("fused.part")
    vocabulary = int(checkpoint.transformer.config.vocab_size)
    try:
        found = fuse_attention(fp32, trial, checkpoint.heads)
        if found and same_vectors(fp32, trial, vocabulary):
            fuse_attention(int8, int8, checkpoint.heads)
    finally:
        trial.unlink(missing_ok=True)


def _products_of_activations(file: Path) -> list[str]:
    """Names of the MatMul nodes that have no constant side."""
    import onnx

    graph = onnx.load(str(file), load_external_data=False).graph
    constants = {item.name for item in graph.initializer}
    constants |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
    return [
        node.name
        for node in graph.node
        if node.op_type == "MatMul" and not constants.intersection(node.input)
    ]


def _graph(folder: Path, name: str) -> Graph:
    file = folder / name
    parts = sorted(item for item in file.parent.glob(f"{file.name}*") if item != file)
    external = tuple(part.relative_to(folder).as_posix() for part in parts)
    return Graph(name, hash_files([file, *parts]), external)


def write_configs(checkpoint: Checkpoint, folder: Path, prompts: tuple[str, str]) -> None:
    """Write the tokenizer and what sentence-transformers, fastembed and TEI read beside it.

    In the long-standing form of sentence-transformers' files, which all its releases read.
    """
    checkpoint.transformer.config.save_pretrained(folder)
    checkpoint.tokenizer.save_pretrained(folder)
    _fix_lengths(folder, checkpoint.max_length)
    head = head_folders(checkpoint)
    for name, layer in zip(head, checkpoint.dense, strict=True):
        (folder / name).mkdir()
        layer.save(str(folder / name))
    modules = ["", "1_Pooling", *head, f"{len(head) + 2}_Normalize"]
    contents: Mapping[str, Any] = {
        "modules.json": [
            {
                "idx": i,
                "name": str(i),
                "path": path,
                "type": f"sentence_transformers.models.{path.partition('_')[2] or 'Transformer'}",
            }
            for i, path in enumerate(modules)
        ],
        "sentence_bert_config.json": {
            "max_seq_length": checkpoint.max_length,
            "do_lower_case": False,
        },
        "1_Pooling/config.json": _pooling_config(checkpoint),
        "config_sentence_transformers.json": {
            "prompts": dict(zip(("query", "document"), prompts, strict=True)),
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        _write_json(folder / name, content)
    (folder / modules[-1]).mkdir()


def head_folders(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Where the dense layers lie, in sentence-transformers' way of naming."""
    return tuple(f"{place}_Dense" for place, _ in enumerate(checkpoint.dense, 2))


def _pooling_config(checkpoint: Checkpoint) -> dict[str, Any]:
    modes = checkpoint.pooling.split("+")
    config: dict[str, Any] = {
        "word_embedding_dimension": int(checkpoint.transformer.config.hidden_size),
        **{key: mode in modes for mode, key in _POOLING_KEYS.items()},
    }
    if len(modes) > 1:  # the flags cannot say in which order
        config["pooling_mode"] = modes
    return config if checkpoint.include_prompt else config | {"include_prompt": False}


def _fix_lengths(folder: Path, max_length: int) -> None:
    """Say the max length the same way everywhere: loaders read it from different places.

    MiniLM's own tokenizer.json truncates at 128, which transformers copies into its config as
    ``max_length``, where fastembed finds it and truncates at half of the model's 256.
    """
    config_file, tokenizer_file = folder / "tokenizer_config.json", folder / TOKENIZER_NAME
    if not tokenizer_file.is_file():
        raise ArtifactError(
            "The checkpoint's tokenizer has no tokenizer.json (a 'fast' tokenizer), which the "
            "encoder needs. Convert it with transformers, or choose another base model."
        )
    config = json.loads(config_file.read_text("utf-8"))
    for key in ("max_length", "pad_to_multiple_of", "stride", "truncation_strategy"):
        config.pop(key, None)
    _write_json(config_file, config | {"model_max_length": max_length})
    tokenizer = json.loads(tokenizer_file.read_text("utf-8"))
    truncation = tokenizer["truncation"] or {
        "direction": str(config.get("truncation_side", "right")).capitalize(),
        "strategy": "LongestFirst",
        "stride": 0,
    }
    tokenizer["truncation"] = truncation | {"max_length": max_length}
    tokenizer["padding"] = None
    _write_json(tokenizer_file, tokenizer)


def hash_configs(folder: Path) -> dict[str, str]:
    """sha256 of every file that is neither a graph nor the manifest, by its path."""
    files = sorted(item for item in folder.rglob("*") if item.is_file())
    names = [file.relative_to(folder).as_posix() for file in files]
    return {
        name: hash_files([folder / name])
        for name in names
        if not name.startswith("onnx/") and name != MANIFEST_NAME
    }


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
