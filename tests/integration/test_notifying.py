"""Webhooks against a real HTTP server: signed, tried again, never followed, never in the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from reindex.config import load_settings
from reindex.errors import PromotionRefused
from reindex.promotion import acting_for, reconcile
from reindex.registry.notifications import Notifications
from reindex.stages.building import build
from reindex.stages.promoting import promote, rollback
from reindex.webhooks import EVENT, SIGNATURE, Delivery, Sender, signature
from tests.hash_project import HashWorkspace, hash_project, write_documents

SECRET = "a very secret word"
TOKEN = "T0KEN-in-the-path"
LONG_AGO = "2020-01-01T00:00:00.000000+00:00"


class Receiver:
    """Answers with the given statuses, then with 200, and keeps what it got."""

    def __init__(self, *statuses: int, location: str = "") -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        statuses_left, receiver = list(statuses), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.path, dict(self.headers), body))
                self.send_response(statuses_left.pop(0) if statuses_left else 200)
                if location:
                    self.send_header("Location", location)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/{TOKEN}?q=1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def sender(**given: Any) -> Sender:
    return Sender(**{"private": True, "sleep": lambda _: None, "timeout_s": 5.0, **given})


def test_a_message_is_signed_and_says_its_event(receiver: Receiver) -> None:
    done = sender(secret=SECRET).send(receiver.url, "promoted", {"version": "v2"})
    assert (done.delivered, done.host, done.attempts) == (True, "127.0.0.1", 1)
    ((path, headers, body),) = receiver.got
    assert path == f"/{TOKEN}?q=1"
    assert json.loads(body) == {"version": "v2"}
    assert headers[EVENT] == "promoted"
    assert headers[SIGNATURE] == f"sha256={signature(SECRET, body)}"
    assert SECRET not in repr(sender(secret=SECRET))


def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    sender().send(receiver.url, "promoted", {})
    assert SIGNATURE not in receiver.got[0][1]


@pytest.mark.parametrize(
    ("statuses", "attempts", "outcome"),
    [
        ((500, 429), 3, "delivered"),
        ((503, 503, 503), 3, "answered 503: an error"),
        ((404,), 1, "answered 404: an error"),
    ],
)
def test_what_may_pass_is_tried_again(
    statuses: tuple[int, ...], attempts: int, outcome: str
) -> None:
    made = Receiver(*statuses)
    done = sender().send(made.url, "promoted", {})
    made.close()
    assert (done.attempts, done.outcome, len(made.got)) == (attempts, outcome, attempts)


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    made = Receiver(302, location=receiver.url)
    done = sender().send(made.url, "promoted", {})
    made.close()
    assert done.outcome == "answered 302: a redirect, which is not followed"
    assert receiver.got == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "10.1.2.3", "192.168.0.1", "169.254.169.254", "[::1]", "0.0.0.0",
     "[::ffff:127.0.0.1]", "[fd00::1]", "100.64.0.1", "2130706433",
     "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]", "[::]", "224.0.0.1"],
)  # fmt: skip
def test_private_addresses_are_refused(host: str) -> None:
    done = sender(private=False).send(f"http://{host}:9/hook", "promoted", {})
    assert done.outcome == "not sent: it is in a private network (notify.allow_private)"
    assert done.attempts == 1


def test_a_name_that_turns_private_at_the_second_look_is_never_asked_twice(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **named: Any) -> Any:
        looked.append(str(host))
        return real("127.0.0.1" if host == "hook.example" else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    url = receiver.url.replace("127.0.0.1", "hook.example")
    assert sender().send(url, "promoted", {}).delivered
    assert looked.count("hook.example") == 1
    assert receiver.got[0][1]["Host"].startswith("hook.example")


@pytest.mark.parametrize("url", ["ftp://example.org/x", "no address", "http://[broken", ""])
def test_what_is_no_address_is_told_and_raises_nothing(url: str) -> None:
    assert not sender().send(url, "promoted", {}).delivered


def test_nobody_there_is_told_without_the_path() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = sender().send(f"http://127.0.0.1:{port}/{TOKEN}", "promoted", {})
    assert done.attempts == 3
    assert TOKEN not in done.outcome
    assert done.outcome.startswith("ConnectionRefusedError")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An own certificate authority and what it signed for ``localhost``."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    folder = tmp_path_factory.mktemp("tls")
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    new, days = ["-newkey", "rsa:2048", "-nodes"], ["-days", "2"]
    for arguments in (
        ["req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", *days, "-subj", "/CN=own"],
        ["req", *new, "-keyout", "key.pem", "-out", "ask.csr", "-subj", "/CN=localhost"],
        ["x509", "-req", "-in", "ask.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
         "-out", "cert.pem", *days, "-extfile", "names"],
    ):  # fmt: skip
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def secure(authority: Path) -> Iterator[Receiver]:
    """The receiver behind TLS, under ``localhost``."""
    made = Receiver()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "cert.pem", authority / "key.pem")
    made.server.socket = context.wrap_socket(made.server.socket, server_side=True)
    made.url = f"https://localhost:{made.server.server_address[1]}/{TOKEN}"
    yield made
    made.close()


def test_https_to_a_host_of_an_own_authority(
    secure: Receiver, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate is checked against the name, though the checked address is connected to."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    done = sender(secret=SECRET).send(secure.url, "promoted", {"version": "v2"})
    assert done.delivered, done.outcome
    ((_, headers, body),) = secure.got
    assert headers[SIGNATURE] == f"sha256={signature(SECRET, body)}"
    assert headers["Host"].startswith("localhost:")


def test_https_to_whom_nobody_vouches_for_is_not_told(
    secure: Receiver, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_name = secure.url.replace("localhost", "127.0.0.1")
    unknown = sender(attempts=1).send(secure.url, "promoted", {})
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    wrong = sender(attempts=1).send(other_name, "promoted", {})
    for done in (unknown, wrong):
        assert not done.delivered
        assert done.outcome.startswith("SSLCertVerificationError")
        assert TOKEN not in done.outcome
    assert secure.got == []


# -- promotions


@pytest.fixture
def project(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HashWorkspace]:
    monkeypatch.setenv("REINDEX_WEBHOOKS", receiver.url)
    monkeypatch.setenv("REINDEX_WEBHOOK_SECRET", SECRET)
    write_documents(tmp_path, [f"text {number}" for number in range(20)])
    with hash_project(tmp_path, notify={"allow_private": True}) as workspace:
        build(workspace, "v1")
        build(workspace, "v2")
        yield workspace


def settle() -> None:
    for thread in threading.enumerate():
        if thread.name == "reindex-webhook":
            thread.join()


def test_flips_and_refusals_are_told(project: HashWorkspace, receiver: Receiver) -> None:
    promote(project, "v1")
    with pytest.raises(PromotionRefused):
        promote(project, "v2")
    promote(project, "v2", force=True, reason="a drill")
    rollback(project, reason="back again")
    settle()
    told = sorted((json.loads(body) for _, _, body in receiver.got), key=lambda one: one["at"])
    assert [(one["event"], one["version"]) for one in told] == [
        ("promoted", "v1"), ("gate-failed", "v2"), ("promoted", "v2"), ("rolled-back", "v1"),
    ]  # fmt: skip
    assert told[2]["reason"] == "a drill"
    assert told[2]["forced"] is True
    assert any(item["verdict"] == "fail" for item in told[1]["conditions"])


def test_what_is_done_for_others_is_told_at_once(
    project: HashWorkspace, receiver: Receiver
) -> None:
    with acting_for("ops over HTTP"):
        promote(project, "v1")
    settle()
    ((_, _, body),) = receiver.got
    assert json.loads(body)["who"].startswith("ops over HTTP")


def test_the_registry_keeps_hosts_and_no_secret(project: HashWorkspace) -> None:
    promote(project, "v1")
    settle()
    (kept,) = Notifications(project.registry).all()
    assert (kept.event, kept.host, kept.outcome) == ("promoted", "127.0.0.1", "delivered")
    project.registry.close()
    for file in project.settings.home.glob("registry.db*"):
        assert TOKEN.encode() not in file.read_bytes()
        assert SECRET.encode() not in file.read_bytes()


def test_a_webhook_that_fails_keeps_no_flip(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REINDEX_WEBHOOKS", "http://127.0.0.1:1/x not-an-address http://[oops")
    project.settings = project.settings.model_copy(
        update={"notify": project.settings.notify.model_copy(update={"attempts": 1})}
    )
    assert promote(project, "v1").promotion is not None
    settle()
    assert len(Notifications(project.registry).all()) == 3


def test_an_event_that_is_not_asked_for_is_not_told(
    project: HashWorkspace, receiver: Receiver
) -> None:
    quiet = project.settings.notify.model_copy(update={"events": ("rolled-back",)})
    project.settings = project.settings.model_copy(update={"notify": quiet})
    promote(project, "v1")
    settle()
    assert receiver.got == []


def dying(project: HashWorkspace, patch: str) -> None:
    """Promote v1 in a process that is killed at ``patch``, and go on here."""
    code = """
import os, pathlib, pkgutil, signal, sys
from reindex.config import load_settings
from reindex.stages.promoting import promote
from tests.hash_project import HashWorkspace

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

place, _, name = sys.argv[2].rpartition(".")
setattr(pkgutil.resolve_name(place), name, die)
with HashWorkspace(load_settings(pathlib.Path(sys.argv[1]))) as workspace:
    promote(workspace, "v1")
"""
    project.close()
    command = [sys.executable, "-c", code, str(project.settings.root), patch]
    done = subprocess.run(command, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    "patch", ["reindex.stages.promoting.tell_flips", "reindex.webhooks.Sender._try"]
)
def test_a_process_that_is_killed_after_the_flip_leaves_the_message_to_the_next(
    project: HashWorkspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, patch: str
) -> None:
    """After the record and before the first try. One without addresses tells nobody of it."""
    dying(project, patch)
    addresses = os.environ["REINDEX_WEBHOOKS"]
    for those in ("", addresses, addresses):
        monkeypatch.setenv("REINDEX_WEBHOOKS", those)
        with HashWorkspace(load_settings(project.settings.root)) as other:
            assert other.live_collection() == "docs--v1"
            other.status()
            settle()
    ((_, _, body),) = receiver.got
    assert (json.loads(body)["event"], json.loads(body)["version"]) == ("promoted", "v1")


def test_whom_the_killed_process_had_told_is_not_told_again(
    project: HashWorkspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying(project, "reindex.stages.promoting.tell_flips")
    other = receiver.url.replace("127.0.0.1", "localhost")
    monkeypatch.setenv("REINDEX_WEBHOOKS", f"{receiver.url} {other}")
    with HashWorkspace(load_settings(project.settings.root)) as workspace:
        (flip,) = workspace.registry.promotions(state="done")
        Notifications(workspace.registry).add(
            "promoted", "v1", flip.id, Delivery("127.0.0.1", 1, "delivered")
        )
        workspace.status()
        settle()
    ((_, headers, _),) = receiver.got
    assert headers["Host"].startswith("localhost")


def test_old_flips_are_no_news(project: HashWorkspace, receiver: Receiver) -> None:
    """Whoever names webhooks later is not told the project's history."""
    dying(project, "reindex.stages.promoting.tell_flips")
    with HashWorkspace(load_settings(project.settings.root)) as workspace:
        workspace.registry.execute(
            "UPDATE promotions SET finished_at = '2020-01-01T00:00:00+00:00'"
        )
        workspace.status()
        settle()
    assert receiver.got == []


def test_a_flip_that_is_settled_later_is_told_then_and_once(
    project: HashWorkspace, receiver: Receiver
) -> None:
    """Its process died between the flip and the record: an intent is left, and the alias moved."""
    promote(project, "v1")
    intent = project.registry.add_intent(
        kind="promote", conditions=[], alias=project.settings.alias, version="v2",
        from_collection="docs--v1", to_collection="docs--v2", comparison=None,
        forced=False, reason="a drill", who="somebody@elsewhere",
    )  # fmt: skip
    project.registry.execute(
        "UPDATE promotions SET created_at = ? WHERE id = ?", (LONG_AGO, intent.id)
    )
    project.store.point_alias(project.settings.alias, "docs--v2")
    reconcile(project.registry, project.store)  # as a flip does before it begins
    for _ in range(2):
        project.history()
        project.status()
        settle()
    told = [json.loads(body) for _, _, body in receiver.got]
    assert sorted((one["event"], one["version"], one["who"]) for one in told)[1] == (
        "promoted", "v2", "somebody@elsewhere",
    )  # fmt: skip
    assert len(told) == 2
