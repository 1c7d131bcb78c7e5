"""Canaries, what is recorded of searches, and the watch after a flip."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from reindex.config.section import Positive, Section


class RolloutSettings(Section):
    """What is recorded of searches and feedback, and how a canary is judged by it."""

    record_searches: bool = Field(
        True,
        description="Record each search of the live retriever beside the registry: time, version, "
        "ids found, latency; key and query only as hashes. Feedback needs it.",
    )
    log_queries: bool = Field(
        False, description="Record the queries' texts too, for as long as the searches."
    )
    redact: str = Field(
        "",
        description='"module:function" that every query passes before it is logged: takes the '
        "text, returns what to log, or None for nothing.",
    )
    retention_days: Annotated[float, Field(gt=0)] = Field(
        30.0, description="Days after which searches and feedback are forgotten."
    )
    max_searches: Positive = Field(
        1_000_000, description="Most searches that are kept; the oldest go first."
    )
    key_window_minutes: Annotated[float, Field(gt=0)] = Field(
        30.0,
        description="Each key is one observation of a canary: what became of its searches within "
        "so many minutes of its first.",
    )
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.05, description="Level of a canary's verdict, for all looks at it together; two-sided."
    )

    @field_validator("redact")
    @classmethod
    def _names_a_function(cls, redact: str) -> str:
        module, separator, function = redact.partition(":")
        if redact and not (module and separator and function):
            raise ValueError("expected module:function, such as ours.privacy:redact")
        return redact
