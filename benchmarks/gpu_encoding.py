"""Encoding documents with torch: reindex's batches against sentence-transformers' own `encode`.

    python benchmarks/gpu_encoding.py [--device cuda] [--documents 20000] [--batch-size 256]

Same weights, same texts, same max length, same number format (fp16 on CUDA), on the same devices
(sentence-transformers gets the first one). The two take turns, medians are printed. On a machine
without CUDA, ``--device cpu`` shows that it runs, and says nothing about a card.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from bulk_encoding import MAX_LENGTH, export_minilm, load_texts
from reindex.torch_encoder import TorchEncoder, cuda_devices


def sentence_transformers(
    checkpoint: Path, device: str, dtype: str, batch_size: int
) -> Callable[[list[str]], Any]:
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(checkpoint), device=device).to(getattr(torch, dtype))
    model.max_seq_length = MAX_LENGTH
    return lambda texts: model.encode(texts, batch_size=batch_size, normalize_embeddings=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda, cuda:0,cuda:1, or cpu")
    parser.add_argument("--texts", type=Path, help="a text per line, or JSON lines with 'text'")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=256, help="sentence-transformers'")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    devices = ("cpu",) if options.device == "cpu" else cuda_devices(options.device)
    source, texts = load_texts(options.texts, options.documents)
    seconds: dict[str, list[float]] = {}
    vectors: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, artifact = export_minilm(Path(folder))
        ours = TorchEncoder(artifact, checkpoint, devices=devices)
        theirs = sentence_transformers(checkpoint, devices[0], ours.dtype, options.batch_size)
        ways = {"sentence-transformers": theirs, "reindex": ours.encode_documents}
        for encode in ways.values():
            encode(texts[:512])  # warm up
        for _ in range(options.repeats):
            for name, encode in ways.items():
                start = time.perf_counter()
                vectors[name] = np.asarray(encode(texts))
                seconds.setdefault(name, []).append(time.perf_counter() - start)
    print(f"{len(texts)} texts ({source}), {ours.dtype}, {', '.join(devices)}")
    for name, taken in seconds.items():
        print(f"{name:24} {len(texts) / statistics.median(taken):10,.0f} documents/s")
    own, other = vectors["reindex"], vectors["sentence-transformers"].astype(np.float32)
    ratio = statistics.median(seconds["sentence-transformers"]) / statistics.median(
        seconds["reindex"]
    )
    print(f"ours is {ratio:.2f}x; lowest cosine between the two {(own * other).sum(1).min():.5f}")


if __name__ == "__main__":
    main()
