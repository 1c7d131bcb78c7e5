"""The documents of what is live, as they are stored: by id, and page by page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from reindex.corpus.frameworks import StoredText, stored_text
from reindex.errors import DataError, FilterRefused
from reindex.owner.jobs import job
from reindex.pages import DocumentPage
from reindex.protocols import Store
from reindex.records import (
    Condition,
    Document,
    PointId,
    SearchPlan,
    StoredPoint,
    point_id,
)
from reindex.stages.searching import what_is_live
from reindex.workspace import Workspace

PAGE = 500
"""Documents per page."""


@job("aside")
def fetch(workspace: Workspace, ids: Sequence[int | str]) -> list[Document]:
    """Those of these documents that are live, in the order asked.

    ``text`` is what the payload holds by the project's settings (empty: nothing), ``rev`` the
    write that made it (None: another client's).

    Raises:
        CollectionNotFound: nothing is live.
    """
    return fetch_in(workspace.store, what_is_live(workspace), ids, _text_of(workspace))


def fetch_in(
    store: Store, collection: str, ids: Iterable[int | str], text_of: StoredText
) -> list[Document]:
    """`fetch` from a collection of any store."""
    wanted = list(dict.fromkeys(point_id(id) for id in ids))
    found = store.retrieve(collection, wanted, with_payload=True)
    return [_document(found[id], text_of) for id in wanted if id in found]


@job("aside")
def page(workspace: Workspace, start: PointId | None = None, limit: int = PAGE) -> DocumentPage:
    """The live documents from ``start`` on (None: from the first), at most ``limit``.

    There is no snapshot: what is written behind ``start`` meanwhile is not seen.

    Raises:
        DataError: ``limit`` is not positive, or ``start`` is no point's id.
        CollectionNotFound: nothing is live.
    """
    return page_in(workspace.store, what_is_live(workspace), start, limit, _text_of(workspace))


def page_in(
    store: Store, collection: str, start: PointId | None, limit: int, text_of: StoredText
) -> DocumentPage:
    """`page` of a collection of any store."""
    if limit < 1:
        raise DataError(f"Expected at least one document per page, got {limit}.")
    if start is not None and point_id(start) != start:
        raise DataError(f"Expected the `following` of the page before, got {start!r}.")
    points = next(
        iter(store.scroll(collection, page=limit + 1, with_payload=True, start=start)), []
    )
    following = points[limit].id if len(points) > limit else None
    return DocumentPage(tuple(_document(point, text_of) for point in points[:limit]), following)


@job("aside")
def find(workspace: Workspace, where: Condition, limit: int = 1000) -> list[int | str]:
    """Own ids of live documents that fulfil ``where``, at most ``limit``, in no order of meaning.

    An exact scan, so that none is missed; no search that counts or is recorded.

    Raises:
        FilterRefused: ``where`` is not of the form expected, or empty.
        DataError: ``limit`` is not positive.
        CollectionNotFound: nothing is live.
    """
    return find_in(workspace.store, what_is_live(workspace), where, limit)


def find_in(store: Store, collection: str, where: Condition, limit: int) -> list[int | str]:
    """`find` in a collection of any store."""
    if not where:
        raise FilterRefused("Expected a condition to find documents by, got none.")
    if limit < 1:
        raise DataError(f"Expected a limit of at least one document, got {limit}.")
    anywhere = np.zeros(store.info(collection).dim, np.float32)
    anywhere[0] = 1
    plan = SearchPlan(k=limit, exact=True, where=where, with_payload=False)
    return [hit.id for hit in store.search(collection, anywhere, plan)]


@job("aside")
def count(workspace: Workspace) -> int:
    """How many documents are live.

    Raises:
        CollectionNotFound: nothing is live.
    """
    return workspace.store.count(what_is_live(workspace))


def _text_of(workspace: Workspace) -> StoredText:
    return stored_text(workspace.settings.source)


def _document(point: StoredPoint, text_of: StoredText) -> Document:
    stamp = point.stamp
    return Document(
        stamp.id if stamp else point.id, text_of(point.payload), point.payload,
        stamp.rev if stamp else None,
    )  # fmt: skip
