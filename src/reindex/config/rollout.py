"""Canaries, what is recorded of searches, and the watch after a flip."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from reindex.config.section import Positive, Section, Share


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


class WatchSettings(Section):
    """What `reindex watch` looks at after a flip, and when it takes the flip back."""

    hours: Annotated[float, Field(gt=0)] = Field(
        24.0, description="Hours after the flip at whose end a version counts as healthy."
    )
    interval: Annotated[float, Field(gt=0)] = Field(60.0, description="Seconds between two rounds.")
    rounds: Positive = Field(
        3, description="A limit must be broken in so many rounds in a row to be a breach."
    )
    sample: Annotated[int, Field(ge=0)] = Field(
        50,
        description="Judged or logged queries that each round asks of what is live and of the "
        "previous version.",
    )
    min_searches: Positive = Field(
        20, description="Fewer queries or searches than this say nothing in a round."
    )
    max_errors: Share = Field(
        0.02, description="By how much the share of searches that fail may grow."
    )
    max_empty_rise: Share = Field(
        0.05, description="By how much the share of searches that find nothing may grow."
    )
    max_score_shift: Share = Field(
        0.25,
        description="Kolmogorov-Smirnov distance of top scores from the baseline; of searches by "
        "services it must be exceeded by more than chance does.",
    )
    max_overlap_drop: Share = Field(
        0.2,
        description="By how much the share of results that the previous version gives as well may "
        "fall below that at the flip.",
    )
    max_latency_factor: Annotated[float, Field(gt=1)] = Field(
        3.0, description="How many times as long 95 % of the searches may take."
    )
    max_feedback_loss: Share = Field(
        0.0,
        description="By how much success per key may be shown to have fallen. Judged at "
        "rollout.alpha for all rounds together.",
    )
