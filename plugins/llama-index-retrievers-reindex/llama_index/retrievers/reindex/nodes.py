"""Hits -> nodes, as LlamaIndex's own Qdrant store rebuilds them, and which version found them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llama_index.core.schema import BaseNode, ImageNode, IndexNode, Node, NodeWithScore, TextNode
from llama_index.core.vector_stores.utils import (
    legacy_metadata_dict_to_node,
    metadata_dict_to_node,
)

from reindex.errors import DataError
from reindex.records import Document, Hit
from reindex.retriever import Results

VERSION_KEY: Final = "reindex_version"
"""In a node's metadata: the version that found it."""
SEARCH_KEY: Final = "reindex_search_id"
"""In a node's metadata: what feedback on the answer refers to, where searches are recorded."""
MARKS: Final = (VERSION_KEY, SEARCH_KEY)

_NODE: Final = "_node_content"
_SHAPES: Final = (("text", ""), ("page_content", "metadata"), ("content", "meta"))
"""(the field with the text, the field with the metadata) of nodes' own payloads and plain ones,
of LangChain's, and of Haystack's; "": the metadata are all the other fields."""


class _Marked(BaseNode):
    """A node whose marks do not count in its hash.

    `QueryFusionRetriever` takes nodes of one hash for one; a node from a docstore bears no marks.
    """

    @property
    def hash(self) -> str:
        """The hash of the node as it is stored."""
        if not any(mark in self.metadata for mark in MARKS):
            return super().hash  # type: ignore[safe-super]
        return self.model_copy(update={"metadata": _own(self.metadata)}).hash


class MarkedTextNode(_Marked, TextNode):
    """A `TextNode` that says which version found it."""


class MarkedIndexNode(_Marked, IndexNode):
    """An `IndexNode` that says which version found it."""


class MarkedImageNode(_Marked, ImageNode):
    """An `ImageNode` that says which version found it."""


class MarkedNode(_Marked, Node):
    """A `Node` that says which version found it."""


_MARKED: Final[dict[type[BaseNode], type[BaseNode]]] = {
    TextNode: MarkedTextNode,
    IndexNode: MarkedIndexNode,
    ImageNode: MarkedImageNode,
    Node: MarkedNode,
}


def scored_nodes(results: Results, text_key: str | None = None) -> list[NodeWithScore]:
    """The hits as nodes with their scores, best first.

    In each node's metadata stands the version that found it (`VERSION_KEY`) and, where the search
    was recorded, its id (`SEARCH_KEY`); neither is shown to a model nor embedded.

    Args:
        text_key: the payload's field with the text, where the payloads are not LlamaIndex's,
            LangChain's, Haystack's or have it in ``text``.

    Raises:
        DataError: a hit holds no text.
    """
    return [
        NodeWithScore(node=_marked(node_of(hit, text_key), hit, results), score=hit.score)
        for hit in results
    ]


def node_of(hit: Hit | Document, text_key: str | None = None) -> BaseNode:
    """The node that a payload holds, or one made of its text and its other fields.

    Raises:
        DataError: there is no text in it.
    """
    stored = next((part for part in _parts(hit.payload) if _NODE in part), None)
    if stored is not None:
        try:
            return metadata_dict_to_node(dict(stored))
        except Exception:  # as LlamaIndex's own store: a node that cannot be read is made anew
            return _made(hit, stored, text_key)
    return _made(hit, hit.payload, text_key)


def unmarked(node: BaseNode) -> BaseNode:
    """The node as it is to be stored: without what an earlier search wrote into its metadata."""
    if not any(mark in node.metadata for mark in MARKS):
        return node
    return node.model_copy(
        update={
            "metadata": _own(node.metadata),
            "excluded_embed_metadata_keys": _unmarked_keys(node.excluded_embed_metadata_keys),
            "excluded_llm_metadata_keys": _unmarked_keys(node.excluded_llm_metadata_keys),
        }
    )


def _parts(payload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The payload, and the objects in it where LangChain and Haystack keep the metadata."""
    inner = [payload.get(metadata) for _, metadata in _SHAPES if metadata]
    return [payload, *(part for part in inner if isinstance(part, Mapping))]


def _made(hit: Hit | Document, payload: Mapping[str, Any], text_key: str | None) -> TextNode:
    shapes = ((text_key, ""),) if text_key else _SHAPES
    for text_field, metadata_field in shapes:
        text = payload.get(text_field)
        if isinstance(text, str):
            fields = payload.get(metadata_field) if metadata_field else payload
            return _plain(hit, text, dict(fields or {}), text_field)
    names = " or ".join(name for name, _ in shapes)
    raise DataError(
        f"document {hit.id!r}: no node and no text under {names} in its payload, which has "
        f"{sorted(payload)}. Name the field of the text: text_key=…"
    )


def _plain(hit: Hit | Document, text: str, fields: dict[str, Any], text_field: str) -> TextNode:
    fields.pop(_NODE, None)
    metadata, info, relationships = legacy_metadata_dict_to_node(fields, text_key=text_field)
    return TextNode(
        id_=str(hit.id),
        text=text,
        metadata=metadata,
        start_char_idx=info.get("start", None),
        end_char_idx=info.get("end", None),
        relationships=relationships,
    )


def _marked(node: BaseNode, hit: Hit, results: Results) -> BaseNode:
    marks = {VERSION_KEY: hit.version or results.version}
    if results.search_id:
        marks[SEARCH_KEY] = results.search_id
    values = {
        **node.__dict__,
        "metadata": {**node.metadata, **marks},
        "excluded_embed_metadata_keys": [*node.excluded_embed_metadata_keys, *marks],
        "excluded_llm_metadata_keys": [*node.excluded_llm_metadata_keys, *marks],
    }
    return _MARKED[type(node)].model_construct(node.model_fields_set, **values)


def _own(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key not in MARKS}


def _unmarked_keys(keys: list[str]) -> list[str]:
    return [key for key in keys if key not in MARKS]
