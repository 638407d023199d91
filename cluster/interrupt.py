"""Ctrl-C, SIGTERM and SIGHUP are one thing: end soon, lose nothing.

A KeyboardInterrupt that Python raises inside a finalizer or a callback is forgotten, so the wish is kept here as well, and
whoever waits for long asks for it; what Python would print of such a one is kept quiet.

In a job of a queue (RADFORGE_AGAIN names a file) SIGTERM and SIGUSR1 are the queue's warning: that file asks it to run the
job again.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

WARNINGS = (signal.SIGTERM, signal.SIGUSR1)

_wanted = Event()
_first: list[int] = []
_others: list[Callable[[sys.UnraisableHookArgs], object]] = []  # who was told of a finalizer's errors before


def listen() -> None:
    """Answer the signals, unless the caller has them ignored (as nohup does)."""
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, *([signal.SIGUSR1] if _again() else [])]
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _answer)
    if sys.unraisablehook is not _quiet:
        _others.append(sys.unraisablehook)
        sys.unraisablehook = _quiet
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)  # the launcher of a job holds them back while Python starts


def check() -> None:
    """Raises KeyboardInterrupt when the end was asked for."""
    if _wanted.is_set():
        raise KeyboardInterrupt


def ask_to_go_on() -> bool:
    """Whether a queue's warning ended us; it is then asked to run the job again."""
    again = _again()
    if again is None or not _first or _first[0] not in WARNINGS:
        return False
    with suppress(OSError):
        again.touch()
    return True


def _again() -> Path | None:
    name = os.environ.get("RADFORGE_AGAIN")
    return Path(name) if name else None


def _answer(number: int, frame: object) -> None:
    _first.append(number)
    _wanted.set()
    raise KeyboardInterrupt


def _quiet(error: sys.UnraisableHookArgs) -> None:
    """Our own KeyboardInterrupt is heard without a traceback; every other error of a finalizer stays an error."""
    if not (_wanted.is_set() and issubclass(error.exc_type, KeyboardInterrupt)):
        _others[-1](error)
