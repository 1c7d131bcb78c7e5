"""Which way of using the cores is faster here: a short measurement, for bulk work."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from reindex.encoder.runtime import open_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reindex.encoder import OnnxEncoder

_LENGTHS = (250, 180, 120, 80, 180, 120, 250, 60)
"""Words per text of the measurement: passages, as bulk work brings them."""
_CLEARLY = 1.1
"""How much faster one text on all cores must be: its threads wait for each other, spinning, at
every operator, so whatever else runs on a core, then or later, costs it far more."""


@dataclass(frozen=True, slots=True)
class ThreadReport:
    """Texts per second of the two exact ways, and the one that the encoder uses from now on.

    ``one_each``: one text per core, ``together``: one text at a time on all cores. Rates are those
    of the best round, the one that was disturbed least.
    """

    threads: int
    one_each: float
    together: float
    chosen: str

    def as_dict(self) -> dict[str, float | int | str]:
        """The figures as a JSON object, to be recorded."""
        return asdict(self)


def confirm_threads(
    encoder: OnnxEncoder, texts: Sequence[str] | None = None, *, seconds: float = 1.0
) -> ThreadReport:
    """Measure both ways for about ``seconds`` in all, and let ``encoder`` take the faster one.

    In turns, so that a busy machine slows both; one text per core, unless the other way is clearly
    faster. Both embed one text per call, so the vectors are the same. With one core there is one
    way.
    """
    if encoder.threads == 1:
        return ThreadReport(1, 0.0, 0.0, "one_each")
    sample = list(texts or [" ".join(["passage"] * length) for length in _LENGTHS])
    sample *= -(-encoder.threads * 2 // len(sample))
    ways = {
        "one_each": (open_session(encoder.file), encoder.threads),
        "together": (open_session(encoder.file, encoder.threads), 1),
    }
    rates = dict.fromkeys(ways, 0.0)
    start = time.perf_counter()
    while not all(rates.values()) or time.perf_counter() - start < seconds:
        for name, way in ways.items():
            encoder.use_session(*way)
            rates[name] = max(rates[name], _rate(encoder, sample))
    chosen = faster(**rates)
    encoder.use_session(*ways[chosen])
    return ThreadReport(encoder.threads, rates["one_each"], rates["together"], chosen)


def faster(one_each: float, together: float) -> str:
    """The way to take, by the texts per second of both."""
    return "together" if together > _CLEARLY * one_each else "one_each"


def _rate(encoder: OnnxEncoder, texts: list[str]) -> float:
    """Texts per second of one round, after one text per caller that warms the session up."""
    encoder.encode_documents(texts[: encoder.callers])
    start = time.perf_counter()
    encoder.encode_documents(texts)
    return len(texts) / (time.perf_counter() - start)
