"""An endpoint that fails in every way that endpoints do, over real HTTP."""

from __future__ import annotations

import email.utils
import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from reindex.config.synthesis import SynthesisSettings
from reindex.errors import ConfigError, EndpointRefused, RunStopped, SynthesisError
from reindex.synthesis.endpoint import Endpoint
from reindex.synthesis.replies import Answer, PassageRefused, Tokens
from tests.openai_server import KEY, OpenAIServer, Says, completion, error

GOOD = Says(body=completion('["one query"]'))
PROMPT = "Queries for: a passage about rivers"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with OpenAIServer(lambda number, prompt: GOOD) as server:
        yield server


def ask(server: OpenAIServer, *replies: Says, **changes: Any) -> Answer:
    """Ask once; the replies come one after another, then good ones."""
    server.script = lambda number, prompt: replies[number] if number < len(replies) else GOOD
    with Endpoint(settings(server, **changes), first_pause=0.001) as endpoint:
        return endpoint.ask(PROMPT)


def settings(server: OpenAIServer, **changes: Any) -> SynthesisSettings:
    return SynthesisSettings(**{"base_url": server.url, "model": "writer", **changes})


def test_what_is_asked_and_what_comes(server: OpenAIServer) -> None:
    answer = ask(server, temperature=0.5, max_tokens=77)
    assert answer == Answer("answered", '["one query"]', Tokens(200, 50))
    assert server.requests == [
        {
            "model": "writer",
            "messages": [{"role": "user", "content": PROMPT}],
            "temperature": 0.5,
            "max_tokens": 77,
        }
    ]


def test_tokens_that_are_not_told_are_estimated(server: OpenAIServer) -> None:
    answer = ask(server, Says(body=completion("x" * 40, usage=None)))
    assert answer.tokens == Tokens(round(len(PROMPT) / 4), 10, estimated=True)


@pytest.mark.parametrize(
    "reply",
    [
        error(429, "slow down", retry_after="0"),
        error(429, "slow down", retry_after="0.01"),
        error(429, "slow down", retry_after_ms="5"),
        error(429, "slow down", retry_after=email.utils.formatdate(0, usegmt=True)),
        error(500),
        error(503),
        Says(502, "<html>Bad gateway</html>"),
        Says(200, '{"choices": [{"mess'),
        Says(200, b"\xff\xfe\x00"),
        Says(200, "[" * 100_000),
        Says(200, []),
        Says(200, {"choices": []}),
        Says(200, {"choices": None}),
        Says(200, {"choices": ["text"]}),
        Says(200, completion(None)),
        Says(200, completion("  ")),
        Says(200, {"error": {"code": 503, "message": "upstream is down"}}),
        Says(200, completion("cut"), cut=True),
    ],
    ids=lambda reply: f"{reply.status} {str(reply.body)[:20]} {dict(reply.headers)} {reply.cut}",
)
def test_what_may_pass_is_tried_again(server: OpenAIServer, reply: Says) -> None:
    assert ask(server, reply, reply).content == '["one query"]'
    assert len(server.requests) == 3


def test_it_gives_up_after_the_tries_that_are_allowed(server: OpenAIServer) -> None:
    with pytest.raises(SynthesisError, match=r"answered 500: broken \(3 tries\)") as raised:
        ask(server, *[error(500, "broken")] * 3, attempts=3)
    assert not isinstance(raised.value, EndpointRefused)
    assert len(server.requests) == 3


def test_a_silent_endpoint_is_timed_out(server: OpenAIServer) -> None:
    never = threading.Event()
    try:
        with pytest.raises(SynthesisError, match=r"no answer in 0\.05 s"):
            ask(server, *[Says(hold=never)] * 2, attempts=2, timeout=0.05)
    finally:
        never.set()


def test_an_endpoint_that_is_not_there(server: OpenAIServer) -> None:
    with pytest.raises(SynthesisError, match="ConnectError"):
        ask(server, base_url="http://127.0.0.1:1/v1", attempts=2)


def test_replies_of_no_use_are_charged(server: OpenAIServer) -> None:
    charged: list[Tokens] = []
    replies = [Says(200, {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 0}})]
    server.script = lambda number, prompt: replies[number] if number < 1 else GOOD
    with Endpoint(
        settings(server), charge=lambda prompt, tokens: charged.append(tokens), first_pause=0.001
    ) as endpoint:
        endpoint.ask(PROMPT)
    assert charged == [Tokens(9, 0)]


def test_a_pause_that_is_asked_for_holds_for_every_thread(server: OpenAIServer) -> None:
    server.script = lambda number, prompt: error(429, retry_after="0.2") if number == 0 else GOOD
    with Endpoint(settings(server), first_pause=0.001) as endpoint:
        first = threading.Thread(target=endpoint.ask, args=(PROMPT,))
        began = time.monotonic()
        first.start()
        server.wait_for(1)
        while endpoint.resting < began + 0.1:  # until the reply has come
            time.sleep(0.001)
        endpoint.ask("another")
        assert time.monotonic() - began >= 0.2
        first.join()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (error(401, f"Incorrect API key provided: {KEY}"), "see the environment variable OPENAI"),
        (error(402, "pay"), "no money left"),
        (error(403, f"{KEY} may not"), "may not use this model"),
        (error(404, "The model 'writer' does not exist"), "check synthesis.model"),
        (error(429, "quota", "insufficient_quota"), "no quota left"),
        (error(429, "tomorrow", retry_after="7200"), "asks to wait for 120 minutes"),
        (error(400, "what is that"), "not understood"),
        (Says(302, "", {"Location": "http://127.0.0.1:9/elsewhere"}), "Redirects are not followed"),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
def test_what_will_never_pass_ends_at_once(server: OpenAIServer, reply: Says, said: str) -> None:
    with pytest.raises(EndpointRefused, match=said) as raised:
        ask(server, reply)
    assert len(server.requests) == 1
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Says(200, completion(None, finish="content_filter")), "filtered"),
        (Says(200, completion(None, refusal="I will not.")), "refused"),
        (Says(200, completion("I'm sorry, but I can't help with that.")), "refused"),
        (Says(200, completion("", finish="length")), "cut"),
        (Says(200, completion("<think>at first", finish="length")), "cut"),
    ],
)
def test_an_answer_without_use_is_an_answer(
    server: OpenAIServer, reply: Says, outcome: str
) -> None:
    answer = ask(server, reply)
    assert (answer.outcome, answer.tokens) == (outcome, Tokens(200, 50))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (error(400, "filtered", "content_filter"), "filtered"),
        (error(400, "too long", "context_length_exceeded"), "refused"),
        (Says(400, {"error": {"innererror": {"code": "content_filter"}}}), "filtered"),
    ],
)
def test_a_passage_may_be_refused_alone(server: OpenAIServer, reply: Says, outcome: str) -> None:
    with pytest.raises(PassageRefused) as raised:
        ask(server, reply)
    assert raised.value.outcome == outcome


def test_parameters_that_a_model_does_not_take_are_left_away(server: OpenAIServer) -> None:
    ask(
        server,
        error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        error(400, "Unsupported value: 'temperature' does not support 0.7 with this model."),
    )
    sent = [request.keys() - {"model", "messages"} for request in server.requests]
    assert sent == [
        {"temperature", "max_tokens"},
        {"temperature", "max_completion_tokens"},
        {"max_completion_tokens"},
    ]


def test_content_in_parts(server: OpenAIServer) -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}, {"type": "image"}]
    assert ask(server, Says(200, completion(parts))).content == "one two"


def test_the_whole_path_may_be_given(server: OpenAIServer) -> None:
    assert ask(server, base_url=f"{server.url}/chat/completions/").outcome == "answered"


def test_ending_wakes_what_waits(server: OpenAIServer) -> None:
    server.script = lambda number, prompt: error(429, retry_after="200")
    raised: list[BaseException] = []

    def work() -> None:
        try:
            endpoint.ask(PROMPT)
        except BaseException as error:
            raised.append(error)

    with Endpoint(settings(server)) as endpoint:
        thread = threading.Thread(target=work)
        thread.start()
        server.wait_for(1)
        endpoint.end()
        thread.join(20)
    assert isinstance(raised[0], RunStopped)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": ""}, "--model"),
        ({"base_url": f"http://me:{KEY}@localhost/v1"}, "do not belong into the address"),
        ({"base_url": f"http://localhost/v1?key={KEY}"}, "do not belong into the address"),
        ({"base_url": "localhost:8000"}, "expected an http"),
        ({"api_key_env": KEY}, "NAME of an environment variable"),
    ],
)
def test_settings_that_cannot_be_used(
    server: OpenAIServer, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        ask(server, **changes)
    assert KEY not in str(raised.value)
    assert server.requests == []


@pytest.mark.parametrize("key", [f"{KEY}\nX-Other: 1", f"{KEY} ", f"{KEY}é", f'"{KEY} x"'])
def test_a_key_that_no_header_takes_is_not_quoted(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    if key.strip() == KEY:  # white space around it, as `echo` and editors leave it
        assert ask(server).outcome == "answered"
        return
    with pytest.raises(ConfigError, match="characters that no") as raised:
        ask(server)
    assert KEY not in str(raised.value)


def test_without_a_key_none_is_sent(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(EndpointRefused, match="OPENAI_API_KEY is not set"):
        ask(server)
    server.key = ""
    assert ask(server).outcome == "answered"


def test_the_key_is_in_no_log(server: OpenAIServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(SynthesisError) as raised:
        ask(server, *[error(500, f"Bearer {KEY} failed")] * 2, attempts=2)
    assert "[key] failed" in str(raised.value)
    assert KEY not in caplog.text
    assert KEY not in json.dumps([record.__dict__ for record in caplog.records], default=str)
