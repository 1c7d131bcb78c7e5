"""``POST /v1/embeddings`` as OpenAI has it.

Beyond OpenAI's: ``input_type`` (``query`` or ``document``) says which prompt a model with prompts
puts before the text; unset, texts are queries, because documents come in by ``/v1/documents``.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from reindex.encoder import OnnxEncoder, truncate
from reindex.protocols import Encoder
from reindex.records import Vector
from reindex.server.auth import needs, service_of
from reindex.server.errors import Problem
from reindex.server.service import Service

router = APIRouter(tags=["embeddings"], dependencies=[Depends(needs("search"))])


class EmbeddingRequest(BaseModel):
    """OpenAI's request."""

    input: str | list[str] | list[int] | list[list[int]]
    model: str | None = Field(
        None, description="The alias or a version's name. Unset, or the alias: what is live."
    )
    dimensions: Annotated[int, Field(ge=1)] | None = Field(
        None, description="So many first dimensions, renormalised (Matryoshka)."
    )
    encoding_format: Literal["float", "base64"] = "float"
    user: str | None = None
    input_type: Literal["query", "document"] = "query"


class Embedding(BaseModel):
    """One vector, of unit length."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens that were embedded, special ones and prompts included; texts are cut at the model's
    maximum length.
    """

    prompt_tokens: int
    total_tokens: int


class EmbeddingResponse(BaseModel):
    """OpenAI's answer; ``model`` is the version whose vectors these are."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


@router.post("/v1/embeddings", response_model=EmbeddingResponse)
async def embeddings(asked: EmbeddingRequest, request: Request) -> Any:
    """Embed texts with what is live, or with a version."""
    service = service_of(request)
    texts = _texts(asked, service.settings.max_texts)
    return await service.run(_embed, service, asked, texts)


def _texts(asked: EmbeddingRequest, most: int) -> list[str]:
    given = [asked.input] if isinstance(asked.input, str) else asked.input
    texts = [item for item in given if isinstance(item, str)]
    if len(texts) < len(given):
        raise Problem(
            400, "input holds token ids, which mean nothing here: another tokenizer made them. "
            "Send texts (LangChain: check_embedding_ctx_length=False).", param="input",
        )  # fmt: skip
    if not texts or not all(texts):
        raise Problem(400, "input must be a text or a list of texts, none empty.", param="input")
    if len(texts) > most:
        raise Problem(
            400, f"input has {len(texts)} texts; {most} are the most (server.max_texts).",
            param="input", code="too_many",
        )  # fmt: skip
    return texts


def _embed(service: Service, asked: EmbeddingRequest, texts: list[str]) -> EmbeddingResponse:
    version, encoder = service.encoder(asked.model)
    if asked.dimensions is not None and asked.dimensions > encoder.dim:
        raise Problem(
            400, f"dimensions = {asked.dimensions}, but {version} has {encoder.dim}.",
            param="dimensions",
        )  # fmt: skip
    of_queries = asked.input_type == "query"
    with service.metrics.timed("encode"):
        encode = encoder.encode_queries if of_queries else encoder.encode_documents
        vectors = encode(texts)
    vectors = truncate(vectors, asked.dimensions) if asked.dimensions else vectors
    form = _FORMS[asked.encoding_format]
    tokens = sum(_tokens(encoder, texts, queries=of_queries))
    return EmbeddingResponse(
        data=[Embedding(index=place, embedding=form(row)) for place, row in enumerate(vectors)],
        model=version,
        usage=Usage(prompt_tokens=tokens, total_tokens=tokens),
    )


def _as_base64(vector: Vector) -> str:
    return base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode("ascii")


_FORMS: dict[str, Any] = {"float": lambda vector: vector.tolist(), "base64": _as_base64}


def _tokens(encoder: Encoder, texts: list[str], *, queries: bool) -> list[int]:
    if isinstance(encoder, OnnxEncoder):
        return encoder.count_tokens(texts, queries=queries)
    return [len(text.split()) for text in texts]  # an encoder without a tokenizer
