"""``[notify]``: who is told of promotions, rollbacks and gates that fail."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import Field

from reindex.config.section import Positive, Section

Event = Literal["promoted", "rolled-back", "gate-failed"]


class NotifySettings(Section):
    """Webhooks: who is told of promotions, rollbacks and gates that do not pass."""

    urls: tuple[str, ...] = Field((), description="Addresses that get a JSON message each.")
    urls_env: str = Field(
        "REINDEX_WEBHOOKS",
        description="Environment variable with more of them, white space between: for addresses "
        "that hold a secret.",
    )
    events: tuple[Event, ...] = Field(
        ("promoted", "rolled-back", "gate-failed"), description="What is told."
    )
    secret_env: str = Field(
        "REINDEX_WEBHOOK_SECRET",
        description="Environment variable with the secret that signs messages (HMAC-SHA256 in "
        "X-Reindex-Signature); unset: they are not signed.",
    )
    timeout_s: Annotated[float, Field(gt=0)] = Field(5.0, description="Seconds for one try.")
    attempts: Positive = Field(3, description="Tries, with growing pauses between.")
    allow_private: bool = Field(
        False, description="Send to addresses in private networks and on this host, too."
    )

    def addresses(self) -> tuple[str, ...]:
        """All of them, each once."""
        given = [*self.urls, *os.environ.get(self.urls_env, "").split()]
        return tuple(dict.fromkeys(given))

    def secret(self) -> str:
        """What signs messages, or nothing."""
        return os.environ.get(self.secret_env, "")
