"""What an endpoint's reply means: an answer, a reason to try again, or one to give up."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from reindex.errors import EndpointRefused, ReindexError
from reindex.synthesis.parsing import is_refusal, parse_queries
from reindex.synthesis.texts import estimated_tokens

Outcome = Literal["answered", "refused", "filtered", "cut"]
"""``cut``: the limit of tokens was reached before any query. All of them were charged."""

TRANSIENT = frozenset({408, 409, 425, 429, *range(500, 600)})
_NO_MONEY = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_OF_THE_PASSAGE = {
    "content_filter": "content filter",
    "content_policy_violation": "content filter",
    "context_length_exceeded": "longer than the model takes",
    "string_above_max_length": "longer than the model takes",
}
"""Error codes that are about one passage -> why."""
_REMEDIES = {
    401: "The key is wrong or missing: {key}.",
    402: "The account has no money left.",
    403: "The key may not use this model: {key}.",
    404: "There is no such model or address: check synthesis.model and synthesis.base_url.",
    405: "The address takes no requests: check synthesis.base_url (it often ends in /v1).",
}


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens that were charged; ``estimated`` where the endpoint did not tell (all) of them."""

    read: int
    written: int
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model wrote, and what became of the request."""

    outcome: Outcome
    content: str
    tokens: Tokens


class Transient(Exception):
    """May go well when tried again, after ``wait`` seconds where the endpoint says so.

    ``tokens`` is what was charged all the same.
    """

    def __init__(self, why: str, wait: float | None = None, tokens: Tokens | None = None) -> None:
        super().__init__(why)
        self.wait, self.tokens = wait, tokens


class PassageRefused(ReindexError):
    """The endpoint will not answer for this passage, ever; nothing was charged."""

    def __init__(self, outcome: Outcome, why: str) -> None:
        super().__init__(why)
        self.outcome = outcome


class BadRequest(Exception):
    """A parameter or the whole request is not understood."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP reply. ``data`` is its JSON, None where it is none; ``text`` its first characters."""

    status: int
    headers: Mapping[str, str]
    data: Any
    text: str


def answer_of(reply: Reply, prompt: str, key_told: str) -> Answer:
    """The answer that a reply holds.

    Args:
        reply: what came.
        prompt: what was asked, to estimate its tokens.
        key_told: how to speak of the key.

    Raises:
        Transient, BadRequest, PassageRefused, EndpointRefused.
    """
    error = _error(reply)
    status = reply.status
    if status == 200 and error:  # gateways report upstream errors so
        status = error["code"] if isinstance(error.get("code"), int) else 502
    if status != 200:
        _fail(Reply(status, reply.headers, reply.data, reply.text), error, key_told)
    return _content(reply, prompt)


def _error(reply: Reply) -> dict[str, Any]:
    error = reply.data.get("error") if isinstance(reply.data, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def _fail(reply: Reply, error: dict[str, Any], key_told: str) -> None:
    codes = [str(error.get(name)) for name in ("code", "type")]
    codes.append(str((error.get("innererror") or {}).get("code")) if _has_inner(error) else "")
    told = f"the endpoint answered {reply.status}: {_message(reply, error)}"
    if any(code in _NO_MONEY for code in codes):
        raise EndpointRefused(f"The account has no quota left: {told}.")
    if reply.status in TRANSIENT:
        raise Transient(told, wait_asked(reply.headers))
    if reason := next((_OF_THE_PASSAGE[code] for code in codes if code in _OF_THE_PASSAGE), ""):
        raise PassageRefused("filtered" if reason == "content filter" else "refused", reason)
    if reply.status in (400, 413, 422):
        raise BadRequest(told)
    if 300 <= reply.status < 400:
        raise EndpointRefused(f"{told}. Redirects are not followed: give the address itself.")
    remedy = _REMEDIES.get(reply.status, "Check synthesis.base_url.").format(key=key_told)
    if reply.status in (401, 403):  # what it says may quote the key
        told = f"the endpoint answered {reply.status}"
    raise EndpointRefused(f"{told[0].upper()}{told[1:]}. {remedy}")


def _has_inner(error: dict[str, Any]) -> bool:
    return isinstance(error.get("innererror"), dict)


def _message(reply: Reply, error: dict[str, Any]) -> str:
    said = error.get("message")
    text = said if isinstance(said, str) else reply.text
    return " ".join(text.split())[:300] or "nothing"


def wait_asked(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``retry-after-ms`` or ``retry-after`` (seconds or a date) asks to wait."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    parsed = email.utils.parsedate_tz(headers.get("retry-after", ""))
    return max(0.0, email.utils.mktime_tz(parsed) - time.time()) if parsed else None


def _content(reply: Reply, prompt: str) -> Answer:
    if not isinstance(reply.data, dict):
        nothing = Tokens(estimated_tokens(prompt), estimated_tokens(reply.text), estimated=True)
        raise Transient("the reply is no JSON object", tokens=nothing)
    choices = reply.data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise Transient("the reply has no choices", tokens=_tokens(reply, prompt, ""))
    content = _text(message.get("content"))
    tokens = _tokens(reply, prompt, content)
    if choice.get("finish_reason") == "content_filter":
        return Answer("filtered", content, tokens)
    if message.get("refusal") or is_refusal(content):
        return Answer("refused", content or str(message["refusal"]), tokens)
    if choice.get("finish_reason") == "length" and not parse_queries(content, 1):
        return Answer("cut", content, tokens)
    if content.strip():
        return Answer("answered", content, tokens)
    raise Transient("the answer is empty", tokens=tokens)


def _text(content: Any) -> str:
    """A message's content: text, or a list of parts."""
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _tokens(reply: Reply, prompt: str, content: str) -> Tokens:
    usage = reply.data.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    read, written = _count(counts.get("prompt_tokens")), _count(counts.get("completion_tokens"))
    return Tokens(
        estimated_tokens(prompt) if read is None else read,
        estimated_tokens(content) if written is None else written,
        estimated=read is None or written is None,
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
