"""The launcher of a node: what its processes are told, whose code counts, and that no signal is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.processes import alive, true_within

COUNTED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
TELLS = f"""
import json, os, pathlib, sys
told = {{key: os.environ.get(key) for key in {COUNTED!r}}}
pathlib.Path(sys.argv[1], told["RANK"]).write_text(json.dumps(told | {{"python": sys.executable}}))
"""
ANSWERS = """
import os, pathlib, signal, sys, time
folder, rank, got = pathlib.Path(sys.argv[1]), os.environ["RANK"], []
for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, frame: got.append(signal.Signals(number).name))
signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT))
(folder / f"ready{rank}").touch()
while not got:
    time.sleep(0.01)
(folder / f"got{rank}").write_text(" ".join(got))
"""


def launched(processes: int, *command: str, **variables: str) -> subprocess.Popen[bytes]:
    taken = {"NODES", "NODE_RANK", "SLURM_NODEID", "MASTER_ADDR", "MASTER_PORT", "RADFORGE_RESUMABLE"}
    environment = {key: value for key, value in os.environ.items() if key not in taken} | variables
    words = [sys.executable, "-m", "cluster.launch", str(processes), "--", *command]
    return subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)


def code_of(processes: int, *command: str, **variables: str) -> int:
    return launched(processes, *command, **variables).wait(60)


def told(folder: Path) -> list[dict[str, str]]:
    return [json.loads(path.read_text()) for path in sorted(folder.iterdir())]


def wait_until(condition: Callable[[], object]) -> None:
    assert true_within(30, condition, every_s=0.005)


def holds_back(pid: int, number: int) -> bool:
    """Whether that process has the signal in its mask: proc(5), SigBlk."""
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.split("SigBlk:")[1].split()[0], 16) & 1 << (number - 1))


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_every_process_is_told_its_place_on_one_node(tmp_path: Path) -> None:
    assert code_of(3, "python", "-c", TELLS, str(tmp_path)) == 0

    places = told(tmp_path)
    assert [(p["RANK"], p["LOCAL_RANK"], p["WORLD_SIZE"]) for p in places] == [
        ("0", "0", "3"),
        ("1", "1", "3"),
        ("2", "2", "3"),
    ]
    assert {p["MASTER_ADDR"] for p in places} == {"127.0.0.1"}
    assert len({p["MASTER_PORT"] for p in places}) == 1
    assert int(places[0]["MASTER_PORT"]) > 0
    assert {p["python"] for p in places} == {sys.executable}


@pytest.mark.parametrize("said", ["NODE_RANK", "SLURM_NODEID"])
def test_the_second_of_two_nodes_counts_on_and_keeps_where_to_meet(said: str, tmp_path: Path) -> None:
    variables = {said: "1", "NODES": "2", "MASTER_ADDR": "lab1", "MASTER_PORT": "23456"}

    assert code_of(2, "python", "-c", TELLS, str(tmp_path), **variables) == 0

    assert [tuple(place[key] for key in COUNTED) for place in told(tmp_path)] == [
        ("2", "0", "4", "lab1", "23456"),
        ("3", "1", "4", "lab1", "23456"),
    ]


def test_a_command_may_be_any_program_and_its_words_stay_whole(capfd: pytest.CaptureFixture[str]) -> None:
    assert code_of(1, "printf", "%s|", "a b", "", "--", "*") == 0

    assert capfd.readouterr().out == "a b||--|*|"


def test_a_program_that_is_not_there_is_127_as_in_a_shell() -> None:
    assert code_of(1, "no-such-program-anywhere") == 127


def test_the_first_code_that_is_not_0_is_the_nodes_and_the_others_are_ended(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, signal, sys, time\n"
        "for number in (signal.SIGTERM, signal.SIGINT): signal.signal(number, signal.SIG_IGN)\n"
        f"pathlib.Path({str(tmp_path)!r}, os.environ['RANK']).write_text(str(os.getpid()))\n"
        f"while len(list(pathlib.Path({str(tmp_path)!r}).iterdir())) < 3: time.sleep(0.01)\n"
        "if os.environ['RANK'] == '1': sys.exit(3)\n"
        "time.sleep(100)\n"
    )
    assert code_of(3, "python", "-c", script) == 3

    assert [pid for path in tmp_path.iterdir() if path.read_text() and alive(pid := int(path.read_text()))] == []


def test_a_process_that_a_signal_ended_counts_as_in_a_shell() -> None:
    assert code_of(2, "python", "-c", "import os; os.kill(os.getpid(), 9) if os.environ['RANK'] == '1' else None") == 137


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_every_process(number: signal.Signals, tmp_path: Path) -> None:
    process = launched(2, "python", "-c", ANSWERS, str(tmp_path), RADFORGE_RESUMABLE="1")
    wait_until(lambda: (tmp_path / "ready0").exists() and (tmp_path / "ready1").exists())

    process.send_signal(number)

    assert process.wait(30) == 0
    assert [(tmp_path / f"got{rank}").read_text() for rank in range(2)] == [number.name] * 2


@pytest.mark.parametrize("moment", range(12))
def test_no_warning_is_lost_while_python_starts(moment: int, tmp_path: Path) -> None:
    process = launched(2, "python", "-c", ANSWERS, str(tmp_path), RADFORGE_RESUMABLE="1")
    # From the launcher's own beginning, over the forks, to when the first of its processes answers for itself.
    wait_until(lambda: holds_back(process.pid, signal.SIGUSR1) or children_of(process.pid))
    true_within(moment * 0.01, lambda: False, every_s=0.002)

    process.send_signal(signal.SIGUSR1)

    assert process.wait(30) == 0
    assert [(tmp_path / f"got{rank}").read_text() for rank in range(2)] == ["SIGUSR1"] * 2


def test_what_cannot_go_on_is_ended_by_the_signal_at_once(tmp_path: Path) -> None:
    process = launched(1, "sh", "-c", f"touch {tmp_path}/ready; exec sleep 100")
    wait_until((tmp_path / "ready").exists)

    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 143


def test_a_child_that_ended_before_the_signal_is_not_signalled(tmp_path: Path) -> None:
    script = "import os, sys; sys.exit(0) if os.environ['RANK'] == '0' else exec(open(sys.argv[2]).read())"
    (tmp_path / "answers.py").write_text(ANSWERS)
    process = launched(2, "python", "-c", script, str(tmp_path), str(tmp_path / "answers.py"), RADFORGE_RESUMABLE="1")
    wait_until((tmp_path / "ready1").exists)

    process.send_signal(signal.SIGUSR1)

    assert process.wait(30) == 0
    assert (tmp_path / "got1").read_text() == "SIGUSR1"
