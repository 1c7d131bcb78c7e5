"""The records of an advice."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Course = Literal["stay", "synthesise", "fine-tune", "pipeline", "judge"]
"""What to do: nothing; make pairs; train; change what is around the model; judge queries first."""

COURSES: dict[Course, str] = {
    "stay": "stay with what you have",
    "synthesise": "synthesise training pairs first",
    "fine-tune": "fine-tune",
    "pipeline": "improve the pipeline",
    "judge": "judge some queries first",
}
"""As people are told."""


_TENFOLD = 9.0
"""A gain past which its size says only that the base finds next to nothing."""


def _percent(gain: float) -> str:
    return f"{gain:+.1%}" if gain <= _TENFOLD else "more than tenfold"


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval, of queries resampled by group."""

    value: float
    low: float
    high: float

    def as_gain(self) -> str:
        """In percent, for people."""
        return f"{_percent(self.value)} ({_percent(self.low)} to {_percent(self.high)})"


@dataclass(frozen=True, slots=True)
class Finds:
    """What one way of searching finds: ``role`` is base, live, other, bm25 or hybrid.

    ``gain`` is the relative change of nDCG@k against what serves (or the base), with its interval;
    None for that one itself.
    """

    name: str
    role: str
    recall: Interval
    ndcg: Interval
    gain: Interval | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What was measured on: ``uses`` counts the looks at the judged set so far, this one included.

    Attributes:
        split: ``dev`` or ``test``.
        recall_at_all: recall@k to be expected among all documents, where only a sample of them
            was embedded; None: all were.
    """

    split: str
    queries: int
    of_queries: int
    groups: int
    documents: int
    of_documents: int
    k: int
    judged_set: str
    uses: int
    recall_at_all: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a new model costs in reindexing: bytes and seconds. ``measured`` with what."""

    documents: int
    seconds: float
    texts_per_second: float
    memory: int
    disk: int
    measured: str


@dataclass(frozen=True, slots=True)
class PilotPoint:
    """One training of the pilot: pairs, seconds, and what its model finds. 0 pairs: the base."""

    pairs: int
    seconds: float
    recall: Interval
    ndcg: Interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a training on so many pairs would reach, by the learning curve.

    ``value`` is the power law's; ``low`` is where the largest pilot may stand already if nothing
    more is gained; ``high`` the power law's upper end. ``gain*`` are relative to the base.
    ``reach`` is how many times the largest pilot's pairs this is.
    """

    metric: str
    pairs: int
    value: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float
    reach: float

    @property
    def gains(self) -> Interval:
        """Relative to the base."""
        return Interval(self.gain, self.gain_low, self.gain_high)


@dataclass(frozen=True, slots=True)
class Pilot:
    """The trainings on slices and what follows; ``unknown`` says what it does not know."""

    points: tuple[PilotPoint, ...]
    estimates: tuple[Estimate, ...]
    seconds: float
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as it was applied: what it says, whose rule it is, what was measured.

    ``votes`` for a course; None where it does not apply.
    """

    name: str
    source: str
    measured: str
    says: str
    votes: Course | None


@dataclass(frozen=True, slots=True)
class Advice:
    """All of it. ``missing`` names what could not be looked at and how to get it."""

    course: Course
    because: str
    next: tuple[str, ...]
    rules: tuple[Rule, ...]
    finds: tuple[Finds, ...]
    judged: Judged | None
    pairs: int | None
    cost: Cost | None
    pilot: Pilot | None
    missing: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)
