"""Telling webhooks what became of the alias, after the fact and in threads of their own."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections import Counter
from typing import Any

from reindex import __version__
from reindex.config.notify import Event
from reindex.errors import ReindexError
from reindex.gate import GateDecision
from reindex.promotion import operator, reconcile
from reindex.registry import Registry
from reindex.registry.ledger import Promotion
from reindex.registry.notifications import Notifications
from reindex.registry.told_flips import ToldFlips
from reindex.webhooks import Sender, host_of
from reindex.workspace import Workspace


def tell_flips(workspace: Workspace) -> list[threading.Thread]:
    """Every flip that is done and that nobody told of: this process's, or of one that died.

    Each is told once, whichever process comes first. A process without addresses tells nobody of
    its own flips, and leaves those of others to one that has some. What fails keeps nobody from
    going on.
    """
    book, threads = ToldFlips(workspace.registry), list[threading.Thread]()
    addresses = bool(workspace.settings.notify.addresses())
    with contextlib.suppress(ReindexError, sqlite3.Error):
        for done in book.untold():
            if (addresses or done.pid == os.getpid()) and book.claim(done.id):
                threads += _tell_flip(workspace, done)
    return threads


def settle(workspace: Workspace) -> list[Promotion]:
    """`reconcile`; and what a process that died could not tell any more is told now."""
    settled = reconcile(workspace.registry, workspace.store)
    tell_flips(workspace)
    return settled


def _tell_flip(workspace: Workspace, done: Promotion) -> list[threading.Thread]:
    event: Event = "rolled-back" if done.kind == "rollback" else "promoted"
    body = {
        "version": done.version,
        "from_collection": done.from_collection,
        "to_collection": done.to_collection,
        "promotion": done.id,
        "comparison": done.comparison,
        "forced": done.forced,
        "reason": done.reason,
        "who": done.who,
        "at": done.finished_at,
        "conditions": done.conditions,
    }
    threads = _tell(workspace, event, body)
    closing = threading.Thread(
        target=_close, args=(workspace.registry, done.id, threads), name="reindex-webhook"
    )
    closing.start()
    return [*threads, closing]


def _close(registry: Registry, promotion: int, threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join()
    with contextlib.suppress(ReindexError, sqlite3.Error):
        ToldFlips(registry).told(promotion)
        registry.close()  # this thread's connection


def tell_refusal(workspace: Workspace, decision: GateDecision) -> list[threading.Thread]:
    """A promotion that the gate did not let through."""
    body = {
        "version": decision.version,
        "to_collection": decision.collection,
        "comparison": decision.comparison,
        "verdict": decision.verdict,
        "who": operator(),
        "at": workspace.registry.now(),
        "conditions": decision.as_list(),
    }
    return _tell(workspace, "gate-failed", body)


def _tell(workspace: Workspace, event: Event, facts: dict[str, Any]) -> list[threading.Thread]:
    """One thread an address. A process that ends waits for them: their tries are limited."""
    settings = workspace.settings.notify
    if event not in settings.events:
        return []
    head = {"event": event, "project": workspace.settings.project.name,
            "alias": workspace.settings.alias, "reindex": __version__}  # fmt: skip
    body = {**head, **facts}
    sender = Sender(
        settings.secret(), settings.timeout_s, settings.attempts, settings.allow_private
    )
    book = Notifications(workspace.registry)

    def work(url: str) -> None:
        delivery = sender.send(url, event, body)
        book.add(event, facts["version"], facts.get("promotion"), delivery)

    hosts = Counter(book.hosts(facts.get("promotion")))
    threads = []
    for url in settings.addresses():
        host = host_of(url)
        if hosts[host]:  # one that died had told it already
            hosts[host] -= 1
            continue
        threads.append(threading.Thread(target=work, args=(url,), name="reindex-webhook"))
    for thread in threads:
        thread.start()
    return threads
