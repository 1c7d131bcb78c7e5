"""A real artifact in milliseconds: an embedding table as ONNX graph and a tokenizer of words.

Everything is as export makes it but the model, which needs neither torch nor a download.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from reindex.artifact import (
    GRAPH_FILES,
    Graph,
    Manifest,
    Probes,
    compute_space,
    hash_files,
    save_manifest,
    tokenizer_hash,
)
from reindex.encoder import OnnxEncoder
from reindex.encoder.runtime import cpu_name, runtime_version
from reindex.export.graphs import hash_configs

DIM, WORDS = 32, 600
PROBES = ("a", "the text of document number 3", "flatten a list")


def small_artifact(folder: Path, seed: int = 1) -> Path:
    """Write the artifact into ``folder``; every seed has a space of its own."""
    (folder / "onnx").mkdir(parents=True)
    _write_tokenizer(folder)
    _write_configs(folder)
    table = np.random.default_rng(seed).normal(size=(WORDS, DIM)).astype(np.float32)
    graphs = {}
    for name, file in GRAPH_FILES.items():  # int8 a little off, as it is
        write_graph(folder / file, np.round(table, 2) if name == "int8" else table)
        graphs[name] = Graph(file, hash_files([folder / file]))
    facts = {
        "weights": f"{seed:064x}", "tokenizer": tokenizer_hash(folder / "tokenizer.json"),
        "pooling": "mean", "normalize": True, "max_length": 64,
    }  # fmt: skip
    manifest = Manifest(
        base="small", dim=DIM, matryoshka_dims=(DIM, DIM // 2), prefix_dim=DIM // 2,
        query_prompt="", document_prompt="", graphs=graphs, files=hash_configs(folder),
        probes=Probes(PROBES, {}, cpu_name(), runtime_version()),
        space=compute_space(prompts=("", ""), dims=(DIM, DIM // 2), **facts),  # type: ignore[arg-type]
        certified=(("int8", "fp32"),), created="2026-01-01T00:00:00+00:00", **facts,  # type: ignore[arg-type]
    )  # fmt: skip
    save_manifest(folder, manifest)
    vectors = {}
    for name in graphs:
        with OnnxEncoder(folder, graph=name, verify=False, threads=1) as encoder:
            vectors[name] = Probes.pack(encoder.encode_documents(PROBES))
    save_manifest(folder, replace(manifest, probes=replace(manifest.probes, vectors=vectors)))
    return folder


def write_graph(file: Path, table: np.ndarray, *, location: str | None = None) -> None:
    """Token ids -> rows of ``table``; ``location``: say that the table lies in that file."""
    tensor = numpy_helper.from_array(table, "table")
    if location is not None:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "n"])
    out = helper.make_tensor_value_info(
        "last_hidden_state", TensorProto.FLOAT, [1, "n", table.shape[1]]
    )
    node = helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"], axis=0)
    graph = helper.make_graph([node], "small", [ids], [out], [tensor])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file.write_bytes(model.SerializeToString())
    if location is not None:
        target = file.parent / location
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(table.tobytes())


def _write_tokenizer(folder: Path) -> None:
    words = ["[UNK]", "a", "the", "text", "of", "document", "number", "flatten", "list", "what"]
    words += [str(number) for number in range(WORDS - len(words))]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))


def _write_configs(folder: Path) -> None:
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling")])
    ]
    contents = {
        "config.json": {"model_type": "small", "hidden_size": DIM},
        "modules.json": modules,
        "1_Pooling/config.json": {
            "word_embedding_dimension": DIM,
            "pooling_mode_mean_tokens": True,
        },
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), "utf-8")


assert onnx.__version__  # a part of [export], which the fixture is made with
