"""Team-draft interleaving: one list of two rankings, and who gets the credit for a click.

Radlinski, Kurup, Joachims, "How does clickthrough data reflect retrieval quality?", CIKM 2008,
algorithm 2: like two captains who choose players. In every round a coin says who chooses first;
each then takes its best result that is not in the list yet. A click counts for the team that
brought the result, so that a user who clicks blindly prefers neither.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Item = int | str
Team = Literal["live", "candidate", ""]


@dataclass(frozen=True, slots=True)
class Interleaved:
    """The list, and for each place the team that brought it; '' where it counts for nobody."""

    items: tuple[Item, ...]
    teams: tuple[Team, ...]


def interleave(live: Sequence[Item], candidate: Sequence[Item], k: int, seed: str) -> Interleaved:
    """The first ``k`` of both rankings, by team draft; the same for the same ``seed``.

    The draft ends where one ranking has nothing left; the other one's rest fills the list, and
    counts for nobody: clicks there would speak for whoever returned more.
    """
    coin = random.Random(seed)  # noqa: S311 (no secret)
    rankings: dict[Team, Sequence[Item]] = {"live": live, "candidate": candidate}
    items: dict[Item, Team] = {}
    picks: dict[Team, int] = {"live": 0, "candidate": 0}
    while len(items) < k:
        team = _next(picks, coin)
        best = _best(rankings[team], items)
        if best is None:
            break
        items[best] = team
        picks[team] += 1
    for item in (*live, *candidate):
        if len(items) >= k:
            break
        items.setdefault(item, "")
    return Interleaved(tuple(items), tuple(items.values()))


def _next(picks: dict[Team, int], coin: random.Random) -> Team:
    if picks["live"] != picks["candidate"]:
        return "live" if picks["live"] < picks["candidate"] else "candidate"
    return "live" if coin.random() < 0.5 else "candidate"


def _best(ranking: Sequence[Item], taken: dict[Item, Team]) -> Item | None:
    return next((item for item in ranking if item not in taken), None)


def winner(teams: Iterable[Team]) -> int:
    """Who won a list, by the teams of its clicked results: 1 candidate, -1 live, 0 neither."""
    found = list(teams)
    difference = found.count("candidate") - found.count("live")
    return (difference > 0) - (difference < 0)
