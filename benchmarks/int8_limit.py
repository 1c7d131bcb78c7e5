"""The limit of int8 encoding on some cores: a graph's own integer products, and nothing else.

    python benchmarks/int8_limit.py [--artifact FOLDER] [--tokens 192]

Every product with weights of an int8 graph, on inputs of the sizes that it has in the graph, by
the same operator of onnxruntime (`MatMulInteger`), as many texts at a time as there are cores. An
encoder that spent no time on anything else would be as fast. Beside it, one large square product.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CORES = 2
SQUARE = 1024


def weights_of(graph: Path) -> dict[str, Any]:
    """The weights of all integer products of a graph, by the products' results."""
    model = onnx.load(str(graph))
    tensors = {item.name: item for item in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type == "MatMulInteger"]
    return {node.output[0]: tensors[node.input[1]] for node in products}


class Products:
    """Integer products by themselves. ``operations``: multiplications and additions a token."""

    def __init__(self, weights: dict[str, Any]) -> None:
        self.operations = sum(2 * int(np.prod(item.dims)) for item in weights.values())
        self._widths = sorted({item.dims[0] for item in weights.values()})
        self._session = _session(weights)

    def run(self, lengths: Sequence[int], cores: int) -> float:
        """Do the products of texts of so many tokens, ``cores`` texts at a time; the seconds."""
        order = iter(sorted(lengths, reverse=True))
        feeds = {length: self._feed(length) for length in set(lengths)}

        def work(_: int) -> None:
            for length in order:
                self._session.run(None, feeds[length])

        start = time.perf_counter()
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(work, range(cores)))
        return time.perf_counter() - start

    def _feed(self, tokens: int) -> dict[str, Any]:
        rng = np.random.default_rng(tokens)
        return {f"in{k}": rng.integers(0, 255, (tokens, k)).astype(np.uint8) for k in self._widths}


def _session(weights: dict[str, Any]) -> Any:
    """All products, each on an input of its width. Kept are only their shapes, so that the results
    need no memory of their own; onnxruntime computes them nonetheless.
    """
    import onnxruntime

    nodes = []
    for name, item in weights.items():
        width = item.dims[0]
        nodes.append(helper.make_node("MatMulInteger", [f"in{width}", item.name, "zero"], [name]))
        nodes.append(helper.make_node("Shape", [name], [f"{name}_shape"]))
    graph = helper.make_graph(
        nodes,
        "products",
        [
            helper.make_tensor_value_info(f"in{width}", TensorProto.UINT8, ["tokens", width])
            for width in sorted({item.dims[0] for item in weights.values()})
        ],
        [
            helper.make_tensor_value_info(f"{name}_shape", TensorProto.INT64, [2])
            for name in weights
        ],
        [*weights.values(), numpy_helper.from_array(np.array(128, np.uint8), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def square_rate(cores: int) -> float:
    """Operations per second of a product of ``SQUARE`` cubed, one per core at a time."""
    matrix = np.random.default_rng(1).integers(-64, 64, (SQUARE, SQUARE)).astype(np.int8)
    products = Products({"square": numpy_helper.from_array(matrix, "weights")})
    products.run([SQUARE] * cores, cores)
    seconds = min(products.run([SQUARE] * 8 * cores, cores) for _ in range(3))
    return 2 * SQUARE**3 * 8 * cores / seconds


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    from bulk_encoding import export_minilm

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--artifact", type=Path, help="an exported version; default: MiniLM's")
    parser.add_argument("--tokens", type=int, default=192)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    os.sched_setaffinity(0, cores)
    with tempfile.TemporaryDirectory() as folder:
        artifact = options.artifact or export_minilm(Path(folder))[1]
        products = Products(weights_of(artifact / "onnx/model_qint8.onnx"))
    lengths = [options.tokens] * 40
    products.run(lengths[:4], len(cores))
    seconds = min(products.run(lengths, len(cores)) for _ in range(3))
    rate = products.operations * sum(lengths) / seconds
    per_second = len(lengths) / seconds
    print(f"{len(cores)} cores, texts of {options.tokens} tokens: {per_second:.1f} texts/s")
    print(f"own products    {rate / 1e9:7.0f} G operations/s")
    print(f"{SQUARE} cubed      {square_rate(len(cores)) / 1e9:7.0f} G operations/s")


if __name__ == "__main__":
    main()
