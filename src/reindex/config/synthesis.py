"""``[synthesis]``: how training queries are made for passages that nobody asked for yet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from reindex.config.section import OrNone, Positive, Section, Share

RoundTrip = Literal["any", "all", "bm25", "model", "off"]
Price = Annotated[float, Field(ge=0)]


class SynthesisSettings(Section):
    """Training queries made for passages, by a language model or without one."""

    base_url: str = Field(
        "https://api.openai.com/v1",
        description="The endpoint, up to what precedes /chat/completions. Any that speaks OpenAI's "
        "protocol: vLLM, llama.cpp, Ollama, a gateway.",
    )
    model: str = Field("", description="The model's name, as the endpoint knows it.")
    api_key_env: str = Field(
        "OPENAI_API_KEY",
        description="Environment variable that holds the key; unset or empty: none is sent.",
    )
    queries_per_passage: Positive = Field(3, description="Queries asked for per passage.")
    max_passages: Positive | None = Field(
        None, description="Passages to take. Unset: 1,000 for a language model, else all."
    )
    min_words: Positive = Field(20, description="Shorter documents are left out.")
    max_words: Positive = Field(
        250, description="Words of a passage that queries are made from; what an encoder reads."
    )
    stratify: str = Field(
        "",
        description="Payload field whose values get an equal share of the passages. Empty: none.",
    )
    judged_documents: bool = Field(
        True,
        description="Also make queries for documents that judgements (dev, test) call relevant. "
        "Queries like judged ones are dropped in any case.",
    )
    prompt: Path | None = Field(
        None, description="Prompt file with {passage} and {n}. Unset: the one that comes along."
    )
    examples: Path | None = Field(
        None, description="Pairs whose first four the prompt shows as examples, your best ones."
    )
    language: str = Field("", description="Language of the queries. Empty: that of the passage.")
    temperature: Annotated[Annotated[float, Field(ge=0, le=2)] | None, OrNone] = Field(
        0.7,
        description='Sampling temperature, where the model takes one. "none": not sent.',
    )
    max_tokens: Positive = Field(1000, description="Tokens of one answer at most.")
    concurrency: Positive = Field(8, description="Requests at a time.")
    timeout: Annotated[float, Field(gt=0)] = Field(60.0, description="Seconds for one answer.")
    attempts: Positive = Field(
        6, description="Tries of one request, with growing pauses, or those the endpoint asks for."
    )
    price_in: Price = Field(0.0, description="Price of a million tokens read.")
    price_out: Price = Field(0.0, description="Price of a million tokens written.")
    max_cost: Price | None = Field(
        None, description="Stop before these queries cost more, earlier runs included."
    )
    max_requests: Positive | None = Field(None, description="Requests in one run at most.")
    round_trip: RoundTrip = Field(
        "any",
        description="Keep a query only if its passage is found: by BM25 or the model (any), by "
        "both (all), by one of them (bm25, model), or keep every query (off).",
    )
    round_trip_k: Positive = Field(10, description="Found means: among the first so many.")
    round_trip_model: str = Field(
        "",
        description="The model that searches: a version that is built (v2). Empty: the live one; "
        "where nothing is live, BM25 alone.",
    )
    round_trip_documents: Positive = Field(
        100_000, description="Documents that BM25 searches at most: the passages and others."
    )
    keep_sentence: Share = Field(
        0.1, description="Inverse cloze: share of passages that keep the sentence asked by."
    )
    seed: int = Field(13, description="Seed of everything random.")

    def api_key(self) -> str:
        """The key from the environment, or nothing."""
        return os.environ.get(self.api_key_env, "").strip()
