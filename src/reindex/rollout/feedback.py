"""What may be said of an answer."""

from __future__ import annotations

from collections.abc import Iterable

from reindex.errors import FeedbackError
from reindex.registry.interactions import Kind


def checked_feedback(
    search: str, clicked: Iterable[int | str], used: Iterable[int | str], grade: float | None
) -> list[tuple[Kind, int | str | None, float]]:
    """Feedback as (kind, document, grade). Raises FeedbackError."""
    if not search:
        raise FeedbackError(
            "Feedback needs the search_id of results. These have none: searches are recorded where "
            "[rollout] record_searches is true, by the retriever over what is live."
        )
    if isinstance(clicked, str | int) or isinstance(used, str | int):
        raise FeedbackError("`clicked` and `used` take lists of document ids, such as [hit.id].")
    if grade is not None and not 0 <= grade <= 1:
        raise FeedbackError(f"A grade is between 0 (bad) and 1 (good), not {grade!r}.")
    found: list[tuple[Kind, int | str | None, float]] = []
    found += [("clicked", document, 1.0) for document in clicked]
    found += [("used", document, 1.0) for document in used]
    found += [] if grade is None else [("grade", None, float(grade))]
    if not found:
        raise FeedbackError("Feedback needs one of clicked, used and grade.")
    return found
