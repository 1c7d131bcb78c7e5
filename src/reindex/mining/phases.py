"""Which of a row's negatives, and in which order: for a curriculum from easy to hard."""

from __future__ import annotations

from collections.abc import Sequence

from reindex.mining.results import FILL, GIVEN, Pick


def hardest_first(picks: Sequence[Pick]) -> list[Pick]:
    """By the judge's score, where all that sources gave have one, else in the order of the pool.

    What a row brought itself comes first, random documents in empty places last.
    """
    given = [pick for pick in picks if pick.origin == GIVEN]
    filled = [pick for pick in picks if pick.origin == FILL]
    mined = [pick for pick in picks if pick.origin not in (GIVEN, FILL)]
    scores = [pick.score for pick in mined if pick.score is not None]
    if len(scores) == len(mined):
        order = sorted(range(len(mined)), key=lambda at: -scores[at])
        mined = [mined[at] for at in order]
    return [*given, *mined, *filled]


def arranged(picks: Sequence[Pick], number: int, phases: int) -> list[Pick]:
    """``number`` negatives for each phase, one phase after the other, the easiest first.

    The last phase has the hardest, the first the easiest of all candidates that are left, and
    those between lie evenly between; none is in two phases. ``picks`` are at least
    ``number * phases``. With one phase they stay in their order.
    """
    if phases == 1:
        return list(picks[:number])
    ordered = hardest_first(picks)
    room = len(ordered) - number
    starts = [round(phase * room / (phases - 1)) for phase in reversed(range(phases))]
    return [pick for start in starts for pick in ordered[start : start + number]]
