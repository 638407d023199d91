"""Which function a command's name means."""

from __future__ import annotations

from collections.abc import Callable

from tests.lab.lsf import control, launch, show, submit, watch
from tests.lab.lsf.state import Lab

COMMANDS: dict[str, Callable[[Lab, list[str]], int]] = {
    "bsub": submit.bsub,
    "bjobs": show.bjobs,
    "bkill": control.bkill,
    "brequeue": control.brequeue,
    "bstop": control.bstop,
    "bresume": control.bresume,
    "bpeek": show.bpeek,
    "bhist": show.bhist,
    "bacct": show.bhist,
    "bqueues": show.bqueues,
    "bhosts": show.bhosts,
    "lsid": show.lsid,
    "blaunch": launch.blaunch,
}


def main(name: str, words: list[str]) -> int:
    """Run one command; returns its exit code."""
    lab = Lab()
    if name == ".watch":
        watch.watch(lab, words[0])
        return 0
    return COMMANDS[name](lab, words)
