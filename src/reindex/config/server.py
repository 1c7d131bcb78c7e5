"""The HTTP server."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from reindex.config.section import Positive, Section

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


class ServerSettings(Section):
    """`reindex serve`."""

    host: str = Field(
        "127.0.0.1", description="Address to listen at. 0.0.0.0: every one of this machine."
    )
    port: Port = Field(8080, description="Port to listen at; 0: any that is free.")
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Names that requests may call the server by, beside addresses and localhost. "
        "Empty: any; but none where it listens at this machine alone, so that no web site reads "
        "here by a name of its own that it points at this machine.",
    )
    open_reading: bool = Field(
        True,
        description="Searching, embedding and reading need no key. Writing and operating always "
        "do: `reindex keys add`.",
    )
    threads: Positive | None = Field(
        None, description="Requests that are worked on at the same time. Unset: all cores."
    )
    max_waiting: Positive = Field(
        256, description="Requests that may wait for a thread; more are answered 503 at once."
    )
    request_timeout: Seconds = Field(
        30.0, description="Seconds after which a request is answered 504."
    )
    drain_timeout: Seconds = Field(
        30.0, description="Seconds that running requests get to end in after SIGTERM."
    )
    max_body_mb: Seconds = Field(8.0, description="Largest body of a request, in MB.")
    max_texts: Positive = Field(256, description="Most texts, queries or documents in one request.")
    max_k: Positive = Field(1000, description="Most hits in one answer, what is skipped included.")
    session_hours: Seconds = Field(
        12.0, description="Hours after which the dashboard asks for the key again."
    )
