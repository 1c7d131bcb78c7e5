"""Queries by a language model: what is not in the journal is asked, what is there is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from reindex.config.synthesis import SynthesisSettings
from reindex.protocols import Progress
from reindex.synthesis.asking import Asked, Crew, Request
from reindex.synthesis.budget import Purse, cost_of, expected
from reindex.synthesis.endpoint import Endpoint, checked_key
from reindex.synthesis.journal import JOURNAL_NAME, Journal, answer_key
from reindex.synthesis.parsing import parse_queries
from reindex.synthesis.prompts import Prompt
from reindex.synthesis.records import MadePair, Passage
from reindex.synthesis.replies import Tokens

FOLDER = "synthesis"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the requests that are left would take, before any is made.

    ``spent`` is what the answers that are kept have cost. Costs are 0 where no price is set.
    """

    passages: int
    kept: int
    requests: int
    tokens_in: int
    tokens_out: int
    cost: float
    spent: float
    priced: bool


@dataclass(frozen=True, slots=True)
class Written:
    """What the passages' answers are.

    Attributes:
        passages: that were to be asked for.
        answered: that have an answer, of this run or an earlier one; ``asked`` in this run.
        unusable: of the answers, by reason (refused, filtered, cut, without a query).
        failed: requests of this run that failed, by error; they are asked again next time.
        stopped: why not everything was asked, "" where it was; ``left`` counts the passages.
        tokens_in, tokens_out, cost: of all answers, earlier runs included.
        estimated: some of the tokens were estimated, for the endpoint did not tell.
    """

    passages: int
    answered: int
    asked: int
    unusable: Mapping[str, int]
    failed: Mapping[str, int]
    stopped: str
    left: int
    tokens_in: int
    tokens_out: int
    cost: float
    estimated: bool

    def as_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            name: dict(value) if isinstance(value, Mapping) else value
            for name in self.__slots__
            for value in (getattr(self, name),)
        }


def check_settings(settings: SynthesisSettings) -> None:
    """Raise ConfigError where nothing could be asked: no model, no usable key, a cap unpriced."""
    checked_key(settings)
    Purse(settings)


class Writing:
    """A prompt, a model and the journal of its answers. A context manager."""

    def __init__(self, home: Path, settings: SynthesisSettings, prompt: Prompt) -> None:
        self._settings, self._prompt = settings, prompt
        self._journal = Journal(home / FOLDER / JOURNAL_NAME, settings.max_tokens)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._journal.close()

    def estimate(self, passages: Sequence[Passage]) -> Estimate:
        """What asking for the rest of them would cost."""
        requests = self._requests(passages)
        left = self._left(requests)
        guesses = [expected(request.prompt, self._settings) for request in left]
        tokens = Tokens(sum(item.read for item in guesses), sum(item.written for item in guesses))
        settings = self._settings
        return Estimate(
            passages=len(passages),
            kept=len(requests) - len(left),
            requests=min(len(left), settings.max_requests or len(left)),
            tokens_in=tokens.read,
            tokens_out=tokens.written,
            cost=cost_of(tokens, settings),
            spent=cost_of(self._charged(requests), settings),
            priced=bool(settings.price_in or settings.price_out),
        )

    def write(
        self, passages: Sequence[Passage], progress: Progress, first_pause: float = 1.0
    ) -> tuple[list[MadePair], Written]:
        """Ask for the passages that have no answer yet, and read the queries of all answers."""
        requests = self._requests(passages)
        purse = Purse(self._settings, cost_of(self._charged(requests), self._settings))
        asked = self._ask(self._left(requests), purse, progress, first_pause)
        return self._read(passages, requests, asked)

    def _requests(self, passages: Sequence[Passage]) -> list[Request]:
        model, temperature = self._settings.model, self._settings.temperature
        prompts = [self._prompt.render(passage.shown) for passage in passages]
        return [Request(answer_key(model, temperature, prompt), prompt) for prompt in prompts]

    def _left(self, requests: Sequence[Request]) -> list[Request]:
        known = self._journal.answers([request.key for request in requests])
        left = {item.key: item for item in requests if item.key not in known}
        return list(left.values())

    def _charged(self, requests: Sequence[Request]) -> Tokens:
        return self._journal.charged([request.key for request in requests])

    def _ask(
        self, requests: Sequence[Request], purse: Purse, progress: Progress, first_pause: float
    ) -> Asked:
        settings, journal = self._settings, self._journal

        def charge(prompt: str, tokens: Tokens) -> None:
            journal.charge(answer_key(settings.model, settings.temperature, prompt), tokens)
            purse.pay(tokens)

        with Endpoint(settings, charge=charge, first_pause=first_pause) as endpoint:
            tick = _tick(progress, len(requests))
            crew = Crew(
                endpoint, journal, purse,
                model=settings.model, size=settings.concurrency, tick=tick,
            )  # fmt: skip
            return crew.ask(requests)

    def _read(
        self, passages: Sequence[Passage], requests: Sequence[Request], asked: Asked
    ) -> tuple[list[MadePair], Written]:
        answers = self._journal.answers([request.key for request in requests])
        unusable, pairs = Counter[str](), list[MadePair]()
        for passage, request in zip(passages, requests, strict=True):
            if request.key not in answers:
                continue
            outcome, content = answers[request.key]
            usable = outcome == "answered"
            queries = parse_queries(content, self._prompt.n) if usable else []
            if not queries:
                unusable["without a query" if usable else outcome] += 1
            pairs += [MadePair(query, passage.text, passage.document) for query in queries]
        return pairs, self._written(requests, answers.keys(), asked, unusable)

    def _written(
        self,
        requests: Sequence[Request],
        answered: Collection[str],
        asked: Asked,
        unusable: Counter[str],
    ) -> Written:
        tokens = self._charged(requests)
        return Written(
            passages=len(requests),
            answered=sum(request.key in answered for request in requests),
            asked=asked.answered,
            unusable=dict(unusable),
            failed=dict(asked.failed),
            stopped=asked.stopped,
            left=asked.left,
            tokens_in=tokens.read,
            tokens_out=tokens.written,
            cost=cost_of(tokens, self._settings),
            estimated=tokens.estimated,
        )


def _tick(progress: Progress, total: int) -> Callable[[int], None]:
    return lambda done: progress("asking", done, total)
