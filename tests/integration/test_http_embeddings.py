"""Embeddings and models through OpenAI's own client."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from reindex.server.app import make_app
from tests.hash_project import DIM, HashWorkspace, encoder_of
from tests.http_fixtures import listening, served_project

TEXTS = [f"text number {n}" for n in range(20)]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[HashWorkspace]:
    with served_project(tmp_path, TEXTS) as project:
        yield project


@pytest.fixture
def openai(project: HashWorkspace) -> Iterator[OpenAI]:
    with (
        listening(make_app(project)) as url,
        OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield client


def test_vectors_are_those_of_what_is_live(openai: OpenAI) -> None:
    found = openai.embeddings.create(model="docs", input=["one", "two"])
    assert found.model == "v1"
    assert [item.index for item in found.data] == [0, 1]
    expected = encoder_of("v1").encode_queries(["one", "two"])
    np.testing.assert_allclose([item.embedding for item in found.data], expected, rtol=1e-6)
    assert found.usage.total_tokens == 2


@pytest.mark.parametrize("form", ["float", "base64"])
def test_both_forms_hold_the_same_numbers(openai: OpenAI, form: Any) -> None:
    found = openai.embeddings.create(model="v2", input="one", encoding_format=form)
    vector: Any = found.data[0].embedding
    if form == "base64":
        vector = np.frombuffer(base64.b64decode(vector), "<f4")
    np.testing.assert_allclose(vector, encoder_of("v2").encode_queries(["one"])[0], rtol=1e-6)


def test_dimensions_are_the_first_ones_renormalised(openai: OpenAI) -> None:
    found = openai.embeddings.create(model="docs", input="one", dimensions=8)
    whole = encoder_of("v1").encode_queries(["one"])[0][:8]
    expected = whole / np.linalg.norm(whole)
    np.testing.assert_allclose(found.data[0].embedding, expected, rtol=1e-5)


def test_too_many_dimensions(openai: OpenAI) -> None:
    with pytest.raises(BadRequestError, match=f"v1 has {DIM}"):
        openai.embeddings.create(model="docs", input="one", dimensions=DIM + 1)


def test_an_unknown_model(openai: OpenAI) -> None:
    with pytest.raises(NotFoundError, match="v7"):
        openai.embeddings.create(model="v7", input="one")


@pytest.mark.parametrize("given", [[[1, 2, 3]], [1, 2, 3], "", ["a", ""], []])
def test_what_cannot_be_embedded(openai: OpenAI, given: Any) -> None:
    with pytest.raises(BadRequestError, match="input"):
        openai.embeddings.create(model="docs", input=given)


def test_what_can_be_asked_for(openai: OpenAI, project: HashWorkspace) -> None:
    assert [item.id for item in openai.models.list()] == ["docs", "v1", "v2"]
    live = openai.models.retrieve("docs")
    assert (live.object, live.owned_by) == ("model", "v1")
    assert live.created == openai.models.retrieve("v1").created > 1_700_000_000
    with pytest.raises(NotFoundError, match=r"no model 'v7'.*docs, v1, v2"):
        openai.models.retrieve("v7")
    project.registry.add_version(base="hash", kind="base", recipe={})  # not exported
    assert [item.id for item in openai.models.list()] == ["docs", "v1", "v2"]
