"""Jobs on two nodes: every process knows its place, they find each other, and one that fails ends all."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import jobs
from tests.cluster.counting import counter, ended, log, plain, site_of, warn
from tests.cluster.drawn_jobs import own_list  # noqa: F401
from tests.lab.lab import Lab

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # dask-jobqueue's

MEETS = """
import os, socket, sys, time
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
if rank:
    for attempt in range(600):
        try:
            with socket.create_connection(address) as peer:
                peer.sendall(f"{rank} {os.environ['LOCAL_RANK']} {os.environ.get('CUDA_VISIBLE_DEVICES')}".encode())
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    else:
        sys.exit(9)
else:
    with socket.create_server(address) as server:
        told = [server.accept()[0].makefile().read().split() for _ in range(world - 1)]
    print("sum", sum(int(words[0]) for words in told), "local", sorted(int(words[1]) for words in told))
    print("gpus", {words[2] for words in told})
"""
FAILS = """
import os, sys, time
if os.environ["RANK"] == "2":
    sys.exit(5)
time.sleep(100)
"""


def test_four_processes_on_two_nodes_find_each_other(lab: Lab, tmp_path: Path) -> None:
    spec = plain(tmp_path / "run", "python", "-c", MEETS, resource="gpu", nodes=2, processes=2, gpus=2)

    record = jobs.submit(spec, site_of(lab))
    status = ended(record)

    assert status.state == "DONE", log(record)
    assert "sum 6 local [0, 1, 1]\ngpus {'0,1'}\n" in log(record)
    assert ("lab1" in status.node or "lab[1-2]" in status.node, "2" in status.node) == (True, True)


def test_one_process_that_fails_ends_those_of_both_nodes(lab: Lab, tmp_path: Path) -> None:
    spec = plain(tmp_path / "run", "python", "-c", FAILS, nodes=2, processes=2)

    status = ended(jobs.submit(spec, site_of(lab)), seconds=40)

    assert status.state == "FAILED"
    assert status.exit_code not in {0, None}
    lab.wait_until(lambda: not lab.jobs())


def test_a_warning_reaches_the_processes_of_both_nodes(lab: Lab, tmp_path: Path) -> None:
    spec = counter(tmp_path / "run", nodes=2)
    code = (tmp_path / "run/counter.py").read_text()
    own = "folder = pathlib.Path(sys.argv[1]) / os.environ['RANK']; folder.mkdir(exist_ok=True)\n"
    code = code.replace("folder, steps, hold = pathlib.Path(sys.argv[1]),", "steps, hold =").replace(
        "last, asked", own + "last, asked"
    )
    (tmp_path / "run/counter.py").write_text(code)
    record = jobs.submit(spec, site_of(lab))
    lab.wait_until(lambda: all((tmp_path / f"run/{rank}/holding").exists() for rank in range(2)))

    warn(lab, record.id)
    lab.wait_until(lambda: log(record).count("warned by SIGUSR1 at 25") == 2)
    for rank in range(2):
        (tmp_path / f"run/{rank}/go").touch()
    status = ended(record)

    assert (status.state, status.restarts) == ("DONE", 1)
    assert log(record).count("from 25") == 2
