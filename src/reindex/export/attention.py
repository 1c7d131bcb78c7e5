"""One operator for each attention of an ONNX graph, where that is shown to compute the same.

Exported, an attention is a dozen operators, and a mask is added to all its scores even where no
token is padding. onnxruntime has a blocked kernel for the whole of it (``MultiHeadAttention``),
but takes it only without a mask. So each attention becomes a choice, made when the graph runs:
without a padded token the kernel without a mask, else the one with it. Both are in every build
of onnxruntime.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from reindex.encoder.runtime import OUTPUT, open_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

TOLERANCE = 1e-4
"""Largest difference of any component, in the unit of the largest, that rounding explains."""
MASK = "attention_mask"
_DOMAIN = "com.microsoft"
_TRIAL = 21
"""Tokens per text of the trial."""
_LONGEST_PATH = 6
"""Operators between a projection and the product that it enters, at most."""


class _Attention(NamedTuple):
    """One attention: its three projections ``(batch, tokens, dim)`` and what it computes."""

    query: str
    key: str
    value: str
    output: str


class _Graph:
    """A graph with the nodes that make and use each value."""

    def __init__(self, graph: Any) -> None:
        self.maker = {name: node for node in graph.node for name in node.output}
        self._users: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)

    def user(self, name: str, kind: str) -> Any | None:
        """The only node that uses a value, if it is of this kind."""
        users = self._users.get(name, [])
        return users[0] if len(users) == 1 and users[0].op_type == kind else None

    def projection(self, name: str) -> str | None:
        """What was reshaped into heads, transposed and maybe scaled to become this value."""
        for _ in range(_LONGEST_PATH):
            node = self.maker.get(name)
            if node is None or node.op_type not in ("Transpose", "Mul", "Reshape"):
                return None
            name = node.input[0]
            if node.op_type == "Reshape":
                return name
        return None


def fuse_attention(source: Path, target: Path, heads: int) -> int:
    """Write the graph ``source`` to ``target``, each attention in one operator; returns how many.

    What is recognised is the common form: softmax(query · key + mask) · value, heads of one size,
    scaled by the root of that size. Whether that is what a graph computes, `same_vectors` shows.
    """
    import onnx

    model = onnx.load(str(source), load_external_data=False)
    found = list(_attentions(model.graph)) if _has_mask(model.graph) else []
    if found:
        _rewrite(model, found, heads)
    onnx.save(model, str(target))
    return len(found)


def same_vectors(one: Path, other: Path, vocabulary: int) -> bool:
    """Whether ``other`` runs and computes the token vectors that ``one`` does, for token ids below
    ``vocabulary``: alone, and padded on either side.
    """
    ids = np.random.default_rng(11).integers(0, vocabulary, (3, _TRIAL))
    masks = np.ones((3, *ids.shape), np.int64)
    masks[1, 0, 9:] = masks[1, 1, 17:] = 0
    masks[2, 0, :9] = masks[2, 1, :4] = 0
    session = open_session(one)
    expected = [_tokens(session, ids, mask) for mask in masks]
    try:
        session = open_session(other)
        found = [_tokens(session, ids, mask) for mask in masks]
    except Exception:  # onnxruntime's own errors share no public base
        return False
    scale = max(1.0, *(float(np.abs(vectors).max()) for vectors in expected))
    differences = (np.abs(a - b).max() for a, b in zip(expected, found, strict=True))
    return all(difference <= TOLERANCE * scale for difference in differences)


def _tokens(session: Any, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
    """The vectors of the tokens that are no padding: ``(tokens, dim)``."""
    feed = {
        "input_ids": ids,
        MASK: mask,
        "token_type_ids": np.zeros_like(ids),
        "position_ids": np.maximum(mask.cumsum(axis=1) - 1, 0),
    }
    names = [item.name for item in session.get_inputs()]
    hidden = session.run([OUTPUT], {name: feed[name] for name in names})[0]
    kept: NDArray[np.float32] = hidden[mask == 1]
    return kept


def _has_mask(graph: Any) -> bool:
    return any(item.name == MASK for item in graph.input)


def _attentions(graph: Any) -> Iterator[_Attention]:
    """All that have the form ``(softmax(q · k + mask)) · v``, heads brought together again."""
    nodes = _Graph(graph)
    for softmax in graph.node:
        masked = nodes.maker.get(softmax.input[0]) if softmax.op_type == "Softmax" else None
        scores = nodes.maker.get(masked.input[0]) if masked and masked.op_type == "Add" else None
        mixed = nodes.user(softmax.output[0], "MatMul")
        turned = nodes.user(mixed.output[0], "Transpose") if mixed else None
        joined = nodes.user(turned.output[0], "Reshape") if turned else None
        if scores is None or scores.op_type != "MatMul" or mixed is None or joined is None:
            continue
        sides = *scores.input, mixed.input[1]
        query, key, value = (nodes.projection(name) for name in sides)
        if query and key and value:
            yield _Attention(query, key, value, joined.output[0])


def _rewrite(model: Any, found: list[_Attention], heads: int) -> None:
    from onnx import TensorProto, helper

    graph = model.graph
    last = {item.output: item for item in found}
    nodes = [
        helper.make_node("Cast", [MASK], ["mask_int32"], to=TensorProto.INT32),
        helper.make_node("ReduceMin", ["mask_int32"], ["mask_least"], keepdims=0),
        helper.make_node("Cast", ["mask_least"], ["mask_full"], to=TensorProto.BOOL),
    ]
    for node in graph.node:
        item = last.get(node.output[0])
        nodes.append(node if item is None else _choice(item, heads))
    kept = _needed(nodes, {item.name for item in graph.output})
    del graph.node[:]
    graph.node.extend(kept)
    del graph.value_info[:]  # shapes of values that are gone
    if not any(item.domain == _DOMAIN for item in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))


def _choice(item: _Attention, heads: int) -> Any:
    """``If`` no token is padding, attention without a mask, else with it."""
    from onnx import TensorProto, helper

    inputs = [item.query, item.key, item.value]
    branches = {}
    for name, given in (("full", inputs), ("padded", [*inputs, "", "mask_int32"])):
        output = f"{item.output}_{name}"
        node = helper.make_node(
            "MultiHeadAttention", given, [output], domain=_DOMAIN, num_heads=heads
        )
        value = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        branches[name] = helper.make_graph([node], output, [], [value])
    return helper.make_node(
        "If",
        ["mask_full"],
        [item.output],
        then_branch=branches["full"],
        else_branch=branches["padded"],
    )


def _needed(nodes: list[Any], wanted: set[str]) -> list[Any]:
    """The nodes that the wanted values come from, in their order."""
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
            for attribute in node.attribute:
                wanted.update(name for inner in attribute.g.node for name in inner.input)
    return kept[::-1]
