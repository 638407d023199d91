"""Ctrl-C, SIGTERM and SIGHUP are one thing: end soon, lose nothing.

A KeyboardInterrupt that Python raises inside a finalizer or a callback is printed and forgotten, so the wish is kept here
as well, and whoever waits for long asks for it.
"""

from __future__ import annotations

import signal
from threading import Event

_wanted = Event()


def listen() -> None:
    """Answer the three signals, unless the caller has them ignored (as nohup does)."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _answer)


def check() -> None:
    """Raises KeyboardInterrupt when the end was asked for."""
    if _wanted.is_set():
        raise KeyboardInterrupt


def _answer(number: int, frame: object) -> None:
    _wanted.set()
    raise KeyboardInterrupt
