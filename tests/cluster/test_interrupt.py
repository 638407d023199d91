"""A Ctrl-C that falls into a finalizer, where Python cannot raise it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import signal
from cluster import interrupt

class Future:
    def __del__(self):
        {body}

interrupt.listen()
future = Future()
del future
try:
    interrupt.check()
    print("not heard")
except KeyboardInterrupt:
    print("heard")
"""


def run(body: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)], check=False, capture_output=True, text=True, timeout=60
    )


def test_ctrl_c_in_a_finalizer_is_heard_and_prints_nothing() -> None:
    ended = run("signal.raise_signal(signal.SIGINT)")

    assert ended.stdout == "heard\n"
    assert ended.stderr == ""


def test_other_errors_of_a_finalizer_are_still_told() -> None:
    ended = run("raise ValueError('a bug')")

    assert ended.stdout == "not heard\n"
    assert "ValueError: a bug" in ended.stderr
