"""Vectors of one version, for an index of your own.

pip install llama-index-embeddings-reindex
reindex demo demo && reindex -c demo serve &
python embed.py http://localhost:8080 v2
"""

from __future__ import annotations

import sys

from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode

from llama_index.embeddings.reindex import LIVE, ReindexEmbedding

TEXTS = ["flatten a nested list", "solve a banded linear system", "parse a date"]


def main(target: str, version: str = LIVE) -> None:
    """Embed some texts and search them in memory."""
    model = ReindexEmbedding(target, version)
    index = VectorStoreIndex([TextNode(text=text) for text in TEXTS], embed_model=model)
    (found,) = index.as_retriever(similarity_top_k=1).retrieve(TEXTS[1])
    print(f"{found.get_score():.3f}  {model.model_name}  {found.text}")
    model.client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
