"""The one place that starts another program."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS_TO_END = 30.0

Process = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Finished:
    """How a program ended."""

    code: int
    stdout: str
    stderr: str


def call(command: Sequence[str], folder: Path | None = None, timeout_s: float = 60, stdin: str = "") -> Finished:
    """Run a program to its end. A missing program is code 127, one that takes too long is 124, as in a shell."""
    try:
        done = subprocess.run(
            list(command),
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            input=stdin,
        )
    except FileNotFoundError:
        return Finished(127, "", f"{command[0]}: not found")
    except subprocess.TimeoutExpired:
        return Finished(124, "", f"{command[0]}: no answer within {timeout_s:g} s")
    return Finished(done.returncode, done.stdout, done.stderr)


def follow(command: Sequence[str]) -> Finished:
    """Run a program of ours whose messages are for whoever watches: its stderr is ours, as it comes. It may take any time.

    When we are interrupted it is asked to end, waited for, and killed if it does not.
    """
    # A group of its own: a terminal's Ctrl-C would reach it beside our own word, and interrupt how it answers the first.
    with subprocess.Popen(
        list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            stdout, _ = process.communicate()
        except BaseException:
            process.terminate()
            try:
                process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    return Finished(process.returncode, stdout, "")


def start(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Process:
    """Start a program that shares our output, and do not wait for it. Raises FileNotFoundError, PermissionError."""
    return subprocess.Popen(list(command), env=environment, stdin=subprocess.DEVNULL)


def detach(command: Sequence[str], folder: Path) -> int:
    """Start a program that outlives us, in a session of its own and without our terminal. Returns its pid."""
    process = subprocess.Popen(
        list(command),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return process.pid


def git_commit(folder: Path) -> str | None:
    """Commit of the checkout whose top is `folder`, "+changed" when tracked files differ; None when it is no checkout.

    A job runs a copy of the code, and is told by RADFORGE_COMMIT what that was.
    """
    if not (folder / ".git").exists():
        return os.environ.get("RADFORGE_COMMIT") or None
    head = call(["git", "rev-parse", "HEAD"], folder)
    if head.code:
        return None
    dirty = call(["git", "status", "--porcelain", "--untracked-files=no"], folder).stdout.strip()
    return head.stdout.strip() + ("+changed" if dirty else "")
