"""What bsub's options mean. Pure functions of their text."""

from __future__ import annotations

import re
import shlex

from tests.lab.lsf.state import fail

Options = dict[str, str]

FLAGS = {"-H", "-K", "-r", "-rn", "-x", "-N", "-B", "-notify"}
VALUED = {
    *("-J", "-q", "-P", "-n", "-R", "-M", "-W", "-o", "-oo", "-e", "-eo", "-Q", "-wt", "-wa", "-gpu", "-w", "-cwd", "-G", "-U"),
    *("-app", "-L", "-m", "-env", "-u", "-sla", "-g", "-v", "-i", "-We", "-sp", "-a", "-jd"),
}
KB = {"K": 1, "M": 1000, "G": 1000**2, "T": 1000**3}
"""Decimal, as dask-jobqueue's LSFCluster counts."""


def parse(words: list[str]) -> tuple[Options, list[str]]:
    """Options, and the command after them. Several -R count together (bsub -R: "multiple -R options")."""
    options: Options = {}
    at = 0
    while at < len(words) and words[at].startswith("-"):
        name = words[at]
        if name in FLAGS:
            options[name] = ""
            at += 1
        elif name in VALUED and at + 1 < len(words):
            options[name] = f"{options['-R']} {words[at + 1]}" if name == "-R" and "-R" in options else words[at + 1]
            at += 2
        else:
            fail(f"{name}: Illegal option. Job not submitted.")
    return options, words[at:]


def embedded(script: str) -> Options:
    """Options of the `#BSUB` lines of a script that came on stdin ("bsub", Description: embedded submission options)."""
    found: Options = {}
    for line in script.splitlines():
        if line.startswith("#BSUB"):
            more, _ = parse(shlex.split(line[5:], comments=True))
            if "-R" in more and "-R" in found:
                more["-R"] = f"{found['-R']} {more['-R']}"
            found |= more
    return found


def minutes(text: str) -> int:
    """bsub -W, -wt: [hour:]minute[/host_name]."""
    match = re.fullmatch(r"(?:(\d+):)?(\d+)(?:/\S+)?", text.strip())
    if match is None:
        fail(f"{text}: Bad time specification. Job not submitted.")
    return int(match[1] or 0) * 60 + int(match[2])


def memory_kb(text: str, unit: str) -> int:
    """bsub -M: a number, counted in lsf.conf's LSF_UNIT_FOR_LIMITS (KB by default) unless it says its own unit."""
    match = re.fullmatch(r"(\d+)([KMGT]?)B?", text.upper())
    if match is None:
        fail(f"{text}: Bad memory limit. Job not submitted.")
    return int(match[1]) * KB[match[2] or unit[0].upper()]


def array(name: str) -> tuple[str, list[int], int]:
    """bsub -J "name[1-3,7]%2": the name, the indices ([0] without any), how many may run at once (0: all)."""
    match = re.fullmatch(r"(.*)\[([\d,-]+)\](?:%(\d+))?", name)
    if match is None:
        return name, [0], 0
    indices: list[int] = []
    for part in match[2].split(","):
        first, _, last = part.partition("-")
        indices += range(int(first), int(last or first) + 1)
    return match[1], indices, int(match[3] or 0)


def requeues(text: str, code: int) -> bool:
    """bsub -Q "[all] [~number ...] | [number ...] [EXCLUDE(number ...)]": whether that exit code is run again."""
    words = re.sub(r"EXCLUDE\(([^)]*)\)", r"\1", text).split()
    return f"~{code}" not in words and (str(code) in words or ("all" in words and code != 0))


def gpus_per_host(options: Options) -> int:
    """bsub -gpu "num=2[:...]": GPUs on each host of the job; 1 where num is left out."""
    if "-gpu" not in options:
        return 0
    match = re.search(r"num=(\d+)", options["-gpu"])
    return int(match[1]) if match else 1


def slots(options: Options) -> int:
    """bsub -n min[,max]: here always the least."""
    return int(options.get("-n", "1").split(",")[0])


def slots_per_host(options: Options) -> int:
    """bsub -R "span[ptile=2]" or "span[hosts=1]" (all on one host); 0: as they come."""
    wanted = options.get("-R", "")
    if "hosts=1" in wanted:
        return slots(options)
    match = re.search(r"ptile=(\d+)", wanted)
    return int(match[1]) if match else 0
