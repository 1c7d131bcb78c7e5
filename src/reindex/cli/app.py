"""The `reindex` group: shared options, errors and exit codes.

Exit codes: 0 done, 1 failed, 2 usage, 3 the gate said fail, 4 inconclusive. Nothing heavy is
imported here, so that ``reindex --help`` is instant; commands import what they need when they run.
"""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reindex import __version__
from reindex.errors import ClearlyWorse, PromotionRefused, ReindexError

if TYPE_CHECKING:
    from reindex.project import Project

EXIT_CODES = {"pass": 0, "fail": 3, "inconclusive": 4, "not judged": 4}
Command = TypeVar("Command", bound=Callable[..., Any])


class Group(click.Group):
    """Lists commands in the order of the work, and turns our errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order in which they were added."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a `ReindexError` becomes a message and an exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            if str(interrupt):  # a stage says how to go on
                click.echo(f"\n{interrupt}", err=True)
            raise
        except ReindexError as error:
            click.ClickException(str(error)).show()
            verdict = error.verdict if isinstance(error, PromotionRefused | ClearlyWorse) else ""
            raise click.exceptions.Exit(EXIT_CODES.get(verdict, 1)) from error


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="reindex")
@click.option(
    "--config", "-c", default=".", show_default=True, envvar="REINDEX_CONFIG", type=Path,
    help="reindex.toml, or the folder that holds it.",
)  # fmt: skip
@click.pass_context
def main(ctx: click.Context, config: Path) -> None:
    """Change a retrieval system's embedding model routinely, safely and reversibly.

    \b
    The loop, from nothing:
      reindex init --adopt            a project, and the base model as v1
      reindex export v1               checkpoint -> ONNX int8
      reindex build v1                documents -> the collection <project>--v1
      reindex promote v1              the alias points at it: searches work
      reindex run --promote           train v2, export, build, compare; flip if the gate passes
      reindex rollback                and back

    \b
    Exit codes: 0 done · 1 failed · 2 usage · 3 the gate said fail · 4 inconclusive
    """
    ctx.obj = config


def json_option(command: Command) -> Command:
    """``--json``: one JSON document on stdout."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does: what was done is kept, locks are released."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:  # noqa: ARG001
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Stopping:
    """How Ctrl-C and SIGTERM end a command that goes on for good.

    Between two pieces of work they set ``event``: an exception could fall anywhere there, also
    where it is lost. In a piece of work they interrupt it, as they do every other command.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self._working = False

    @contextlib.contextmanager
    def work(self) -> Iterator[None]:
        """A piece of work that a signal interrupts."""
        self._working = True
        try:
            if self.event.is_set():
                raise KeyboardInterrupt
            yield
        finally:
            self._working = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals; what the command does then comes after this block."""
        ours = threading.current_thread() is threading.main_thread()  # no other may take signals
        taken = _ENDING if ours else ()
        before = {number: signal.signal(number, self._on_signal) for number in taken}
        try:
            yield
        except KeyboardInterrupt:
            self.event.set()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:  # noqa: ARG002
        if self._working or self.event.is_set():
            raise KeyboardInterrupt
        # not set here: this thread may hold the event's lock, waiting for it
        threading.Thread(target=self.event.set).start()


_ENDING = (signal.SIGINT, signal.SIGTERM)


def with_project(command: Callable[..., Any]) -> Callable[..., Any]:
    """Open the project of ``--config``, show progress on stderr, close everything after."""

    @functools.wraps(command)
    @click.pass_context
    def wrapped(ctx: click.Context, /, *args: Any, **kwargs: Any) -> Any:
        from reindex.cli.progress import ProgressBars
        from reindex.project import open_project

        with (
            terminable(),
            ProgressBars() as progress,
            open_project(ctx.obj, progress=progress) as project,
        ):
            return ctx.invoke(command, project, *args, **kwargs)

    return wrapped


def exit_with(verdict: str) -> None:
    """End with the exit code of a verdict."""
    if code := EXIT_CODES[verdict]:
        raise click.exceptions.Exit(code)


def project_type() -> type[Project]:
    """`Project`, imported late."""
    from reindex.project import Project

    return Project
