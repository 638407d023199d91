"""One per node: `python -P -m cluster.launch PROCESSES -- COMMAND...` starts the processes of this node and passes signals on.

Each is told RANK, LOCAL_RANK and WORLD_SIZE; `python` as the first word is the Python that runs this. When one fails the
others are ended, for they would wait for it for ever, and its code is the node's. Not torchrun: the queue sends its warning to
every process of a job, and SIGUSR1 ends torchrun itself.

-P: without it Python would look into the current folder first, which may be a checkout that has changed since.
Imports little: a warning that comes before the handlers stand would end the job.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster.shell import Process

PASSED_ON = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)


def main(arguments: Sequence[str]) -> int:
    """The exit code of the first process that failed, 128 + n when a signal n ended it; 0 when none did."""
    # Until a child has said what it does with a signal, the signal waits: children inherit this mask, and a training takes
    # it off when its handlers stand. `exec` keeps it, so nothing is lost while Python starts.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    from cluster.shell import start  # noqa: PLC0415 - the mask comes first

    processes, command = int(arguments[0]), list(arguments[arguments.index("--") + 1 :])
    if command[0] == "python":
        command[0] = sys.executable
    if os.environ.get("RADFORGE_RESUMABLE") != "1":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    try:
        children = [start(command, environment) for environment in _environments(processes)]
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127 if isinstance(error, FileNotFoundError) else 126

    def pass_on(number: int, frame: FrameType | None) -> None:
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    for number in PASSED_ON:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)

    while True:
        codes = [child.poll() for child in children]
        failed = next((code for code in codes if code), 0)
        if failed or None not in codes:
            break
        time.sleep(0.05)
    if failed:
        _end(children)
    return failed if failed >= 0 else 128 - failed


def _environments(processes: int) -> list[dict[str, str]]:
    own = os.environ
    node = int(own.get("NODE_RANK") or own.get("SLURM_NODEID") or 0)
    world = int(own.get("NODES", "1")) * processes
    meet = {} if int(own.get("NODES", "1")) > 1 else {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    ranks = [
        meet | {"RANK": str(node * processes + i), "LOCAL_RANK": str(i), "WORLD_SIZE": str(world)} for i in range(processes)
    ]
    return [{**own, **rank} for rank in ranks]


def _free_port() -> int:
    """Below the ports that a system gives out by itself (32768 and up, ip(7)): seconds pass before it is used."""
    while True:
        port = 20_000 + int.from_bytes(os.urandom(2), "big") % 12_000
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


def _end(children: Sequence[Process]) -> None:
    # By force: a rank that is asked politely would write a checkpoint and ask for a requeue, though its fellow is dead.
    for child in children:
        if child.poll() is None:
            child.kill()
    for child in children:
        child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
