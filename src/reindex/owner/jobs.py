"""Which work the owner does for others: the functions marked with `job`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, get_type_hints

from reindex.plain import from_plain
from reindex.workspace import Workspace

P = ParamSpec("P")
R = TypeVar("R")
Lane = Literal["work", "flip", "aside"]

LANES: dict[Lane, int] = {"work": 1, "flip": 1, "aside": 8}
"""Lane -> jobs at a time. ``work``: what takes long, one after another. ``flip``: what must not
wait for that. ``aside``: what is short and may run beside everything, such as searches."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job.

    Attributes:
        run: does it here.
        call: does it where the store is open: here, or in the process that owns it.
        detached: it goes on when who asked for it goes away.
    """

    name: str
    run: Callable[..., Any]
    call: Callable[..., Any]
    lane: Lane
    detached: bool

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as they came over the wire, as the function takes them."""
        hints = get_type_hints(self.run)
        return {name: from_plain(hints[name], value) for name, value in given.items()}

    def result(self, plain: Any) -> Any:
        """The result as it came over the wire, as the function returns it."""
        return from_plain(get_type_hints(self.run)["return"], plain)


KINDS: dict[str, Kind] = {}
"""By name; filled by importing the modules that hold them (`reindex.stages.jobs` imports all)."""


def job(
    lane: Lane, *, name: str = "", detached: bool = False
) -> Callable[[Callable[Concatenate[Workspace, P], R]], Callable[Concatenate[Workspace, P], R]]:
    """Mark a function of a workspace that needs the store.

    Where another process owns the project, a call runs in that process, with the settings and
    the progress of the caller, and returns or raises here what it did there. Otherwise it runs
    here. Arguments and result must survive `reindex.plain`.

    Args:
        lane: see `LANES`.
        name: of the job; the function's own where it is empty.
        detached: let it go on when its asker goes away.
    """

    def mark(
        run: Callable[Concatenate[Workspace, P], R],
    ) -> Callable[Concatenate[Workspace, P], R]:
        signature = inspect.signature(run)

        @functools.wraps(run)
        def here_or_there(workspace: Workspace, /, *args: P.args, **kwargs: P.kwargs) -> R:
            owner = workspace.other_owner()
            if owner is None:
                return run(workspace, *args, **kwargs)
            from reindex.owner.client import ask

            bound = signature.bind(workspace, *args, **kwargs).arguments
            given = dict(list(bound.items())[1:])
            done: R = kind.result(ask(owner, kind.name, given, workspace))
            return done

        kind = Kind(name or run.__name__, run, here_or_there, lane, detached)
        KINDS[kind.name] = kind
        return here_or_there

    return mark
