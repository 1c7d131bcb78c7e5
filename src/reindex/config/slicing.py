"""``[evaluation.slices]``: the parts of the judged queries that are looked at on their own."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from reindex.config.section import Positive, Section

_FIELD = re.compile(r"len\(([^()\s]+)\)|[^()\s]+")


def _field(text: str) -> str:
    if not _FIELD.fullmatch(text):
        raise ValueError(f"write a field as 'language', 'meta.language' or 'len(text)', not {text}")
    return text


SliceField = Annotated[str, AfterValidator(_field)]


class SliceSettings(Section):
    """Parts of the judged queries; one that regresses holds a promotion back."""

    query_fields: tuple[SliceField, ...] = Field(
        ("len(text)",),
        description="Fields of the queries: keys of a row or its metadata in queries.jsonl. "
        "len(text) is the number of words. Numbers are cut into bands.",
    )
    document_fields: tuple[SliceField, ...] = Field(
        (),
        description="Payload fields of the relevant documents, 'a.b' for b within a; len(field) is "
        "the number of words.",
    )
    head_tail: bool = Field(
        True, description="Slices of documents that many and that few judged queries ask for."
    )
    bands: Positive = Field(3, description="Quantile bands that numbers are cut into.")
    max_values: Positive = Field(
        20, description="Values of a field that get a slice: those with the most queries."
    )
