"""Documents into what is live, and answers out of it: an index whose store is reindex.

    pip install llama-index-vector-stores-reindex
    reindex -c PROJECT keys add indexer --scope write    # shown once
    export REINDEX_API_KEY=…
    python index_documents.py http://localhost:8080

The project's reindex.toml should say ``source.payload = "llamaindex"``.
"""

from __future__ import annotations

import sys

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.llms import MockLLM

from llama_index.retrievers.reindex import VERSION_KEY
from llama_index.vector_stores.reindex import ReindexVectorStore

GUIDE = [
    Document(id_="flip", text="A flip points the alias at another collection, in one atomic step."),
    Document(id_="lease", text="A lease keeps a collection and its encoder together."),
]


def main(target: str) -> None:
    """Insert, ask, update, ask again, delete."""
    store = ReindexVectorStore(target)
    index = VectorStoreIndex.from_vector_store(store, embed_model=store.embed_model)
    for document in GUIDE:
        index.insert(document)
    engine = index.as_query_engine(llm=MockLLM(), similarity_top_k=1)  # your own LLM here
    for question in (GUIDE[0].text, GUIDE[1].text):
        (source,) = engine.query(question).source_nodes
        print(f"{source.get_score():.3f}  {source.metadata[VERSION_KEY]}  {source.text}")
    index.update_ref_doc(Document(id_="lease", text="A lease is a collection with its encoder."))
    (source,) = engine.query("A lease is a collection with its encoder.").source_nodes
    print(f"{source.get_score():.3f}  {source.metadata[VERSION_KEY]}  {source.text}")
    for document in GUIDE:
        index.delete_ref_doc(document.doc_id)
    store.client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
