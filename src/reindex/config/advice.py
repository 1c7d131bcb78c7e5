"""What `reindex advise` looks at, and where its rules of thumb draw their lines."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from reindex.config.section import Positive, Section, Share


class AdviceSettings(Section):
    """`reindex advise`: how much it looks at, and the lines of its rules."""

    queries: Positive = Field(400, description="Judged queries at most; a random sample of more.")
    documents: Positive = Field(
        3000, description="Documents to find them in: the judged ones, and a random sample."
    )
    pilot_minutes: Annotated[float, Field(gt=0)] = Field(
        10.0, description="Time for the pilot: three small trainings and their measurements."
    )
    pilot_documents: Positive = Field(
        1000, description="Documents in the pilot's measurements, for each of them embeds all."
    )
    enough_recall: Share = Field(0.85, description="Recall@k above which there is little to gain.")
    low_recall: Share = Field(0.75, description="Recall@k below which training clearly pays.")
    few_pairs: Positive = Field(500, description="Fewer training pairs: synthesise more first.")
    some_pairs: Positive = Field(
        1000, description="Fewer training pairs: more of them will bring much."
    )
    min_gain: Annotated[float, Field(ge=0)] = Field(
        0.02, description="Relative gain below which a change is not worth a new index."
    )
