"""The last door of every command: each way to end has its exit code (README, "Exit codes")."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

from cluster import interrupt
from schemas.errors import RadforgeError


def run(
    app: Callable[[], object],
    debug: Callable[[], bool],
    interrupted: str = "interrupted: run the same command again to go on",
) -> None:
    """Run a Typer application to its end and exit.

    The user's mistakes are one line each; a bug keeps its traceback, without its text (which may quote an archive) unless
    `debug()`.
    """
    interrupt.listen()
    try:
        app()
    except SystemExit as stop:
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
