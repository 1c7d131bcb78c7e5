"""Whether the model Hub is there at all: asked once, instead of its client's many retries."""

from __future__ import annotations

from pathlib import Path

from reindex.errors import ModelError
from reindex.training.libraries import load

TIMEOUT_S = 10.0
"""What a single small answer of the Hub may take; its client would try for minutes."""


def without_hub(place: str) -> bool:
    """Whether a model is loaded without asking the Hub: a folder, or all that was fetched before.

    Args:
        place: what `reindex.training.base.resolve_base` returns.

    Raises:
        ModelError: it is no folder, was never fetched, and the Hub cannot be reached.
        MissingExtra: the [train] extra is not installed.
    """
    if Path(place).is_dir():
        return True
    load("huggingface_hub.constants")
    hub = load("huggingface_hub")
    if hub.constants.HF_HUB_OFFLINE:
        return True
    failure = _failure(f"{hub.constants.ENDPOINT}/{place}/resolve/main/config.json", hub)
    if failure is None:
        return False
    if isinstance(hub.try_to_load_from_cache(place, "config.json"), str):
        return True
    raise ModelError(
        f"The model {place!r} cannot be fetched: {hub.constants.ENDPOINT} cannot be reached "
        f"({failure}), and it was not fetched before. Check the network, HTTPS_PROXY and "
        "HF_ENDPOINT, or copy the model here from where it can be fetched and name its folder."
    )


def _failure(url: str, hub: object) -> str | None:
    """Why nobody answers; any answer will do, a refusal too: the library words those well."""
    try:
        hub.get_session().head(url, timeout=TIMEOUT_S)  # type: ignore[attr-defined]
    except Exception as error:  # of requests or httpx, whichever its client uses
        return _reason(error)
    return None


def _reason(error: BaseException) -> str:
    """The innermost cause, which is what the system said: 'Connection refused'."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return said or type(error).__name__
