"""Telling webhooks what became of the alias, after the fact and in threads of their own."""

from __future__ import annotations

import threading
from typing import Any

from reindex import __version__
from reindex.config.notify import Event
from reindex.gate import GateDecision
from reindex.promotion import operator, reconcile
from reindex.registry.ledger import Promotion
from reindex.registry.notifications import Notifications
from reindex.webhooks import Sender
from reindex.workspace import Workspace


def tell_flip(workspace: Workspace, done: Promotion) -> list[threading.Thread]:
    """A flip that is done."""
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
    return _tell(workspace, event, body)


def settle(workspace: Workspace) -> list[Promotion]:
    """`reconcile`; a flip of a process that died before it could tell is told now, and only now."""
    settled = reconcile(workspace.registry, workspace.store)
    for item in settled:
        if item.state == "done":
            tell_flip(workspace, item)
    return settled


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

    threads = [
        threading.Thread(target=work, args=(url,), name="reindex-webhook")
        for url in settings.addresses()
    ]
    for thread in threads:
        thread.start()
    return threads
