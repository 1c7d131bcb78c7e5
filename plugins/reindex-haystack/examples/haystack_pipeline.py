"""Documents in, answers out: an indexing pipeline and a query pipeline over a reindex project.

    pip install reindex-haystack
    reindex -c PROJECT keys add indexer --scope write    # shown once
    export REINDEX_API_KEY=…
    python haystack_pipeline.py http://localhost:8080

The project's reindex.toml says ``source.payload = "haystack"``.
"""

from __future__ import annotations

import sys

from haystack import Document, Pipeline
from haystack.components.builders import PromptBuilder
from haystack.components.writers import DocumentWriter
from haystack.document_stores.types import DuplicatePolicy

from haystack_integrations.components.retrievers.reindex import ReindexRetriever
from haystack_integrations.document_stores.reindex import ReindexDocumentStore

GUIDE = [
    Document(id="flip", content="A flip moves the alias in one step.", meta={"page": 3}),
    Document(id="lease", content="A lease keeps an encoder with its collection.", meta={"page": 5}),
]
PROMPT = """{% for document in documents %}{{ document.content }}
{% endfor %}Question: {{ question }}"""


def indexing(store: ReindexDocumentStore) -> Pipeline:
    """No embedder: reindex embeds what is written, by every version that is written to."""
    pipeline = Pipeline()
    pipeline.add_component("writer", DocumentWriter(store, policy=DuplicatePolicy.OVERWRITE))
    return pipeline


def asking(store: ReindexDocumentStore) -> Pipeline:
    """No embedder here either: the retriever takes the question's text."""
    pipeline = Pipeline()
    pipeline.add_component("retriever", ReindexRetriever(store, top_k=1))
    pipeline.add_component("prompt", PromptBuilder(PROMPT, required_variables="*"))
    pipeline.connect("retriever.documents", "prompt.documents")
    return pipeline


def main(target: str) -> None:
    """Write two documents, ask, take them out again."""
    store = ReindexDocumentStore(target)
    indexing(store).run({"writer": {"documents": GUIDE}})
    pipeline = Pipeline.loads(asking(store).dumps())  # as it would be deployed
    question = "A lease keeps an encoder with its collection."
    filters = {"field": "meta.page", "operator": ">=", "value": 4}
    found = pipeline.run(
        {"retriever": {"query": question, "filters": filters}, "prompt": {"question": question}},
        include_outputs_from={"retriever"},
    )
    for document in found["retriever"]["documents"]:
        print(f"{document.score:.3f}  {found['retriever']['meta']['version']}  {document.content}")
    print(found["prompt"]["prompt"])
    store.connection.feedback(
        found["retriever"]["meta"]["search_id"], used=found["retriever"]["meta"]["ids"]
    )
    store.delete_documents([document.id for document in GUIDE])
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
