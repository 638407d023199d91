"""Starting programs: to their end, or until we are interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from cluster.shell import call, follow


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_missing_program_is_127_and_one_that_takes_too_long_124() -> None:
    missing = call(["no-such-program-anywhere"])
    slow = call(python("import time; time.sleep(30)"), timeout_s=0.2)

    assert (missing.code, slow.code) == (127, 124)


def test_a_followed_program_answers_on_stdout_and_speaks_on_our_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    done = follow(python("import sys; print('answer'); print('message', file=sys.stderr); sys.exit(3)"))

    assert (done.code, done.stdout) == (3, "answer\n")
    assert capfd.readouterr().err == "message\n"


def test_ctrl_c_ends_a_followed_program_once_and_waits_for_it(tmp_path: Path) -> None:
    told, ended = tmp_path / "pid", tmp_path / "ended"
    child = (
        "import os, pathlib, signal, time\n"
        "got = []\n"
        "for number in (signal.SIGTERM, signal.SIGINT): signal.signal(number, lambda number, frame: got.append(number))\n"
        f"pathlib.Path({str(told)!r}).write_text(str(os.getpid()))\n"
        "while signal.SIGTERM not in got: time.sleep(0.02)\n"
        "time.sleep(0.3)\n"
        f"pathlib.Path({str(ended)!r}).write_text(' '.join(signal.Signals(number).name for number in got))\n"
    )
    parent = subprocess.Popen(
        python(f"from cluster.shell import follow; import sys; follow([sys.executable, '-c', {child!r}])"),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while not (told.exists() and told.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)

    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: to the whole group
    parent.wait(timeout=30)

    assert ended.read_text() == "SIGTERM"  # a second signal would interrupt the answer to the first
    with suppress(ProcessLookupError):
        os.kill(int(told.read_text()), 0)
        pytest.fail("the child is still there")
