"""What every command shares: the options before its name, and the last door, where each way to end has its exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from importlib import metadata
from typing import Annotated

import typer
from rich.console import Console

from cluster import interrupt, show
from cluster.progress import Reporter
from schemas.errors import RadforgeError


def _version(wanted: bool) -> None:
    if wanted:
        show.line(f"radforge {metadata.version('radforge')}")
        raise typer.Exit


class Options:
    """`--quiet`, `--debug` and `--version`, given before the name of a command."""

    def __init__(self, app: typer.Typer) -> None:
        self.quiet = self.debug = False
        app.callback(help=app.info.help)(self._take)

    def reporter(self, quiet: bool = False) -> Reporter:
        """Where a command's messages go."""
        return Reporter(Console(stderr=True), quiet or self.quiet)

    def _take(
        self,
        quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Warnings and errors only.")] = False,
        debug: Annotated[bool, typer.Option("--debug", help="Full tracebacks. They may quote an archive.")] = False,
        version: Annotated[
            bool,
            typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_version),
        ] = False,
    ) -> None:
        self.quiet, self.debug = quiet, debug


def run(
    app: Callable[[], object],
    debug: Callable[[], bool],
    interrupted: str = "interrupted: run the same command again to go on",
) -> None:
    """Run a Typer application to its end and exit.

    The user's mistakes are one line each; a bug keeps its traceback, without its text (which may quote an archive) unless
    `debug()`. In a job of a queue, what the queue's warning ended exits 0 and is run again.
    """
    interrupt.listen()
    try:
        app()
    except SystemExit as stop:
        if stop.code == 130 and interrupt.ask_to_go_on():
            sys.stderr.write("stopped by the queue's warning; the job goes on when it is run again\n")
            sys.exit(0)
        if stop.code == 130:
            sys.stderr.write(f"{interrupted}\n")
        raise
    except RadforgeError as error:
        for problem in error.problems:
            sys.stderr.write(f"error: {problem}\n")
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - the last door: a bug keeps its traceback, without texts of the archive
        if debug():
            traceback.print_exc()
        else:
            traceback.print_tb(error.__traceback__)
            sys.stderr.write(f"{type(error).__name__}: a mistake of radforge; --debug shows its text\n")
        sys.exit(1)
