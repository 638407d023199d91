"""A signal only sets a flag; the loop asks for it after each step, writes a checkpoint and ends.

SIGTERM and SIGUSR1 are the queue's warning: the run is to go on later (`RUN/again`, exit 0). SIGINT and SIGHUP are a
person's: exit 130. Import this before torch, so that a warning which comes early is not lost.
"""

from __future__ import annotations

import signal

WARNINGS = (signal.SIGTERM, signal.SIGUSR1)
WISHES = (signal.SIGINT, signal.SIGHUP)

_asked: list[int] = []


def listen() -> None:
    """Answer the four signals from now on; a second Ctrl-C ends at once."""
    for number in (*WARNINGS, *WISHES):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _answer)
    # The launcher of a job blocks them while Python starts, so that none is lost: one that came meanwhile is answered now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*WARNINGS, *WISHES))


def asked() -> int:
    """The first signal that came, or 0."""
    return _asked[0] if _asked else 0


def check() -> None:
    """For work outside the steps, which has nothing to save. Raises Stopped when a signal came."""
    if _asked:
        raise Stopped(_asked[0])


def forget() -> None:
    """As if none had come."""
    _asked.clear()


def _answer(number: int, frame: object) -> None:
    if number == signal.SIGINT and signal.SIGINT in _asked:
        raise KeyboardInterrupt
    _asked.append(number)


class Stopped(Exception):  # noqa: N818 - the name says what happened
    """The run was asked to stop and wrote a checkpoint first. `number` is the signal."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)
