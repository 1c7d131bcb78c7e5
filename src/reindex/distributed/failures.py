"""What was raised on another machine, as it is raised here."""

from __future__ import annotations

from reindex.errors import BuildError, ReindexError


def raised_there(error: BaseException, doing: str) -> ReindexError:
    """The ReindexError that Ray has wrapped in ``error``, else a BuildError that quotes it."""
    seen: BaseException | None = error
    for _ in range(10):  # Ray's wrapper, Ray Data's, ours; a cycle would be a bug elsewhere
        if seen is None:
            break
        if isinstance(seen, ReindexError):
            return seen
        seen = getattr(seen, "cause", None) or seen.__cause__
    return BuildError(
        f"{doing} failed on the cluster: {last_line(error)}. What was done is kept; run the build "
        "again once that is mended."
    )


def cause_of(error: BaseException, doing: str) -> Exception:
    """What was raised there itself, so that whoever tells one bad text from a broken encoder can;
    where it did not travel, as `raised_there` has it.
    """
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, Exception) else raised_there(error, doing)


def last_line(error: BaseException) -> str:
    """Of a message that quotes a traceback, the end: the error itself."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
