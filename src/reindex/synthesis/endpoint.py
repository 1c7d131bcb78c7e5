"""One chat completion at a time from an OpenAI-compatible endpoint, tried again where that helps.

The key comes from the environment and goes into one header; it is in no error, no log and no file.
Redirects are not followed, so that it goes nowhere else.
"""

from __future__ import annotations

import json
import logging
import random
import re
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from reindex import __version__
from reindex.config.synthesis import SynthesisSettings
from reindex.errors import ConfigError, EndpointRefused, RunStopped, SynthesisError
from reindex.synthesis.replies import Answer, BadRequest, Reply, Tokens, Transient, answer_of

if TYPE_CHECKING:
    import httpx

CONNECT_S = 10.0
LONGEST_PAUSE = 60.0
MOST_WAIT = 300.0
"""Seconds that an endpoint may ask to wait; where it asks for more, the run ends."""
_OPTIONAL = ("temperature", "max_tokens")
"""Parameters that some models refuse; the request is then sent without, or with another name."""


class Endpoint:
    """Asks one model at one address. Thread-safe; close it, or use it as a context manager.

    Args:
        settings: `[synthesis]`.
        charge: told of tokens that were charged for a reply of no use: (prompt, tokens).
        first_pause: seconds before the second try of a request where the endpoint names none; it
            doubles with each further one, up to a minute, and half of it is random.

    Raises:
        ConfigError: no model is named, or address, key or its variable cannot be used.
    """

    def __init__(
        self, settings: SynthesisSettings, *, charge: Callable[[str, Tokens], None] | None = None,
        first_pause: float = 1.0,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._key = checked_key(settings)
        self._charge = charge or _free
        self._first_pause = first_pause
        self._client = _client(settings, self._key)
        self._left_out = set[str]()
        self._ended = threading.Event()
        self._not_before = 0.0
        self._answered = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def resting(self) -> float:
        """Until when (`time.monotonic`) the endpoint has asked not to be asked."""
        return self._not_before

    def end(self) -> None:
        """Wake what waits for its next try; it raises RunStopped. Requests under way go on."""
        self._ended.set()

    def ask(self, prompt: str) -> Answer:
        """The model's answer to a prompt.

        Raises:
            EndpointRefused: nothing that is asked will be answered (key, model, address, quota).
            PassageRefused: this prompt never will.
            SynthesisError: it was not answered in all tries; another time it may be.
            RunStopped: `end` was called.
        """
        tries = Retrying(
            stop=stop_after_attempt(self._settings.attempts),
            wait=self._pause,
            retry=retry_if_exception_type(Transient),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return tries(self._once, prompt)
        except Transient as error:
            raise SynthesisError(f"{error} ({self._settings.attempts} tries)") from None

    def _once(self, prompt: str) -> Answer:
        self._sleep(self._not_before - time.monotonic())
        if self._ended.is_set():
            raise RunStopped("ended")
        body = self._body(prompt)
        try:
            answer = answer_of(self._post(body), prompt, self._key_told())
        except Transient as error:
            if error.tokens is not None:
                self._charge(prompt, error.tokens)
            if error.wait is not None:  # for all threads
                self._not_before = max(self._not_before, time.monotonic() + self._asked(error))
            raise
        except BadRequest as error:
            if self._adapt(str(error), body):
                return self._once(prompt)
            kind = SynthesisError if self._answered else EndpointRefused
            raise kind(f"The request is not understood: {self._without_key(error)}") from None
        self._answered = True
        return answer

    def _post(self, body: dict[str, Any]) -> Reply:
        import httpx

        try:
            reply = self._client.post("chat/completions", json=body)
        except httpx.TimeoutException:
            raise Transient(f"no answer in {self._settings.timeout:g} s") from None
        except httpx.TransportError as error:
            raise Transient(f"{type(error).__name__}: {self._without_key(error)}") from None
        data = _json(reply, self._key)
        return Reply(reply.status_code, reply.headers, data, self._without_key(reply.text[:2000]))

    def _body(self, prompt: str) -> dict[str, Any]:
        settings = self._settings
        body: dict[str, Any] = {
            "model": settings.model,
            "messages": [{"role": "user", "content": prompt}],
        }
        if settings.temperature is not None and "temperature" not in self._left_out:
            body["temperature"] = settings.temperature
        renamed = "max_tokens" in self._left_out
        body["max_completion_tokens" if renamed else "max_tokens"] = settings.max_tokens
        return body

    def _adapt(self, told: str, body: dict[str, Any]) -> bool:
        """Leave a parameter away that the model does not take; False where none was sent."""
        named = {name for name in _OPTIONAL if name in body and name in told}
        self._left_out |= named
        return bool(named)

    def _pause(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, Transient) and error.wait is not None:
            return error.wait
        longest: float = min(LONGEST_PAUSE, self._first_pause * 2 ** (state.attempt_number - 1))
        return longest * (0.5 + random.random() / 2)  # noqa: S311

    def _asked(self, error: Transient) -> float:
        wait = error.wait or 0.0
        if wait > MOST_WAIT:
            raise EndpointRefused(
                f"The endpoint asks to wait for {wait / 60:.0f} minutes. Run it again then."
            )
        return wait

    def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            self._ended.wait(seconds)

    def _key_told(self) -> str:
        name = self._settings.api_key_env
        return f"see the environment variable {name}" if self._key else f"{name} is not set"

    def _without_key(self, said: object) -> str:
        return without_key(str(said), self._key)


def _free(_prompt: str, _tokens: Tokens) -> None:
    """Nobody counts."""


def without_key(text: str, key: str) -> str:
    """``text`` with the key blacked out."""
    return text.replace(key, "[key]") if key else text


def checked_key(settings: SynthesisSettings) -> str:
    """The key, "" where none is set. Raises ConfigError, without quoting what may be a secret."""
    if not settings.model:
        raise ConfigError(
            "Which model shall write the queries? Pass --model NAME, or set synthesis.model; "
            "without a language model: --from titles, or --from cloze."
        )
    parts = urlsplit(settings.base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            "synthesis.base_url: expected an http or https address, such as "
            "http://localhost:8000/v1."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            "synthesis.base_url: credentials and parameters do not belong into the address. The "
            "key comes from the environment variable that synthesis.api_key_env names."
        )
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", settings.api_key_env):
        raise ConfigError(
            "synthesis.api_key_env: expected the NAME of an environment variable, such as "
            "OPENAI_API_KEY, not the key itself."
        )
    key = settings.api_key()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"The key in the environment variable {settings.api_key_env} has characters that no "
            "key has. Set it again."
        )
    return key


def host_of(settings: SynthesisSettings) -> str:
    """The endpoint's host, which is all of its address that is told."""
    return urlsplit(settings.base_url).hostname or ""


def _client(settings: SynthesisSettings, key: str) -> httpx.Client:
    import httpx

    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request
    base = settings.base_url.rstrip("/").removesuffix("/chat/completions")
    headers = {"User-Agent": f"reindex/{__version__}"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    connections = settings.concurrency
    return httpx.Client(
        base_url=f"{base}/",
        headers=headers,
        timeout=httpx.Timeout(
            settings.timeout, connect=min(CONNECT_S, settings.timeout), pool=None
        ),
        verify=base.startswith("https:"),  # certificates take a while to load
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        follow_redirects=False,
    )


def _json(reply: httpx.Response, key: str) -> Any:
    """The reply's JSON, None where it is none; a key that is quoted in it is blacked out."""
    try:
        plain = json.dumps(json.loads(reply.content))  # however its characters were escaped
        return json.loads(without_key(plain, json.dumps(key)[1:-1]))
    except (ValueError, RecursionError):
        return None
