"""A query engine over whatever version is live, with a filter and feedback.

    pip install llama-index-retrievers-reindex
    reindex demo demo && reindex -c demo serve &
    python ask.py http://localhost:8080 "flatten a nested list" package=itertools

The first argument may be a project's folder, too. Without a third, nothing is filtered by.
"""

from __future__ import annotations

import sys

from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

from llama_index.retrievers.reindex import SEARCH_KEY, VERSION_KEY, ReindexRetriever


def filters_of(conditions: list[str]) -> MetadataFilters:
    """``field=value`` as LlamaIndex's filters."""
    pairs = [condition.split("=", 1) for condition in conditions]
    return MetadataFilters(filters=[MetadataFilter(key=key, value=value) for key, value in pairs])


def main(target: str, question: str, *conditions: str) -> None:
    """Answer ``question`` and say which version found the sources."""
    retriever = ReindexRetriever(target, similarity_top_k=3, filters=filters_of(list(conditions)))
    engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM())  # your own LLM here
    answer = engine.query(question)
    for source in answer.source_nodes:
        print(f"{source.get_score():.3f}  {source.metadata[VERSION_KEY]}  {source.node_id}")
    if answer.source_nodes:
        first = answer.source_nodes[0]
        if SEARCH_KEY in first.metadata:  # where searches are recorded, see docs/rollout.md
            retriever.client.feedback(first.metadata[SEARCH_KEY], used=[first.node_id])
    retriever.client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
