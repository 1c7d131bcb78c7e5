"""Answer from documents, through a change of the embedding model.

    reindex serve &
    python langchain_rag.py http://localhost:8080 "how do I flatten a list?"

The key for writing is REINDEX_API_KEY (`reindex keys add app --scope write`); without one the
example only reads. The chain ends in the prompt: append the chat model of your choice.
"""

from __future__ import annotations

import os
import sys

from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnablePassthrough

from langchain_reindex import ReindexRetriever, ReindexVectorStore

PROMPT = ChatPromptTemplate.from_template(
    "Answer from these documents alone.\n\n{documents}\n\nQuestion: {question}"
)


def make_chain(target: str) -> Runnable[str, str]:
    """Question -> prompt."""
    retriever = ReindexRetriever(target=target, k=3)
    asked = {"documents": retriever | _written_out, "question": RunnablePassthrough()}
    return asked | PROMPT | (lambda value: value.to_string())


def _written_out(documents: list[Document]) -> str:
    return "\n".join(
        f"[{item.metadata['_version']} {item.metadata['_score']:.3f}] {item.page_content}"
        for item in documents
    )


def main(target: str, question: str) -> None:
    """Write a document, where there is a key; ask."""
    if os.environ.get("REINDEX_API_KEY"):
        store = ReindexVectorStore(target)
        store.add_texts(["numpy.ravel flattens an array"], [{"topic": "arrays"}], ids=["ravel"])
    print(make_chain(target).invoke(question))


if __name__ == "__main__":
    main(*sys.argv[1:3])
