"""What requests cost, and when to stop asking."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from reindex.config.synthesis import SynthesisSettings
from reindex.errors import BudgetSpent, ConfigError
from reindex.synthesis.replies import Tokens
from reindex.synthesis.texts import estimated_tokens

MILLION = 1_000_000
ANSWER_TOKENS = 20
"""Of a query in an answer, as `expected` guesses; with quotes and comma."""


def cost_of(tokens: Tokens, settings: SynthesisSettings) -> float:
    """By the prices per million tokens."""
    return (tokens.read * settings.price_in + tokens.written * settings.price_out) / MILLION


def expected(prompt: str, settings: SynthesisSettings) -> Tokens:
    """A guess of what a request will be charged."""
    written = min(settings.max_tokens, ANSWER_TOKENS * settings.queries_per_passage)
    return Tokens(estimated_tokens(prompt), written, estimated=True)


def at_most(prompt: str, settings: SynthesisSettings) -> Tokens:
    """What a request may be charged: the whole answer that it allows."""
    return Tokens(estimated_tokens(prompt), settings.max_tokens, estimated=True)


@dataclass(slots=True)
class _State:
    spent: float
    reserved: float = 0.0
    requests: int = 0


class Purse:
    """Keeps spending under ``synthesis.max_cost`` and requests under ``max_requests``.

    A request is begun only where its most expensive answer still fits beside all that are under
    way; so the cap holds but for the estimate of the prompt's tokens, and for tries whose answer
    was of no use.

    Raises:
        ConfigError: there is a cap, and no price.
    """

    def __init__(self, settings: SynthesisSettings, spent: float = 0.0) -> None:
        if settings.max_cost is not None and not (settings.price_in or settings.price_out):
            raise ConfigError(
                "synthesis.max_cost needs prices: set synthesis.price_in and synthesis.price_out "
                "(per million tokens), or pass --price-in and --price-out."
            )
        self._settings = settings
        self._state = _State(spent)
        self._lock = threading.Lock()

    @property
    def spent(self) -> float:
        """By now, earlier runs included."""
        return self._state.spent

    def reserve(self, prompt: str) -> float:
        """Put aside what a request may cost. Raises BudgetSpent where that is too much."""
        settings, amount = self._settings, cost_of(at_most(prompt, self._settings), self._settings)
        with self._lock:
            state = self._state
            if settings.max_requests is not None and state.requests >= settings.max_requests:
                raise BudgetSpent(f"{state.requests:,} requests were made (synthesis.max_requests)")
            cap = settings.max_cost
            if cap is not None and state.spent + state.reserved + amount > cap:
                raise BudgetSpent(
                    f"{state.spent:.4g} of {cap:.4g} are spent, and the next request may cost "
                    f"{amount:.2g} (synthesis.max_cost)"
                )
            state.requests += 1
            state.reserved += amount
            return amount

    def release(self, amount: float) -> None:
        """The request is over."""
        with self._lock:
            self._state.reserved -= amount

    def pay(self, tokens: Tokens) -> None:
        """What was charged."""
        with self._lock:
            self._state.spent += cost_of(tokens, self._settings)
