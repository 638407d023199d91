"""bjobs, bhist, bpeek, bqueues, bhosts, lsid: what is there."""

from __future__ import annotations

import json
import os
import re
import sys
import time

from tests.lab.lsf.report import told
from tests.lab.lsf.state import FINISHED, Job, Lab, fail, matching, now, say

USUAL = ("jobid", "user", "stat", "queue", "from_host", "exec_host", "job_name", "submit_time")
OTHER_NAMES = {"name": "job_name", "id": "jobid", "sstart_time": "start_time"}


def bjobs(lab: Lab, words: list[str]) -> int:
    """bjobs [-a] [-q queue] [-J name] [-o "fields [delimiter='c']"] [-json] [-noheader] [job_ID ...].

    Pages "bjobs -o" (fields and their names), "bjobs -json" ("must be specified with -o"; "conflicts with -noheader").
    Jobs that are over are shown with -a, -d or when asked for by id. Unknown ids are told on stderr.
    """
    flags: dict[str, str] = {}
    ids: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in ("-o", "-J", "-q", "-u", "-P"):
            flags[word] = next(rest)
        elif word in ("-a", "-d", "-json", "-noheader", "-w", "-W", "-r", "-p", "-l", "-X"):
            flags[word] = ""
        elif word.startswith("-"):
            fail(f"bjobs: Illegal option {word}")
        else:
            ids.append(word)
    if "-json" in flags and ("-o" not in flags or "-noheader" in flags):
        fail("bjobs: -json needs -o and excludes -noheader")
    rows = _found(lab, ids) if ids else [job for job in lab.jobs() if {"-a", "-d"} & set(flags) or job["stat"] not in FINISHED]
    rows = [
        job for job in rows if flags.get("-J", job["name"]) == job["name"] and flags.get("-q", job["queue"]) == job["queue"]
    ]
    columns, gap = _columns(flags.get("-o"))
    _print(rows, columns, gap, flags)
    if not rows and not ids:
        sys.stderr.write("No unfinished job found\n")
    return 255 if ids and not rows else 0


def _columns(text: str | None) -> tuple[tuple[str, ...], str | None]:
    if text is None:
        return USUAL, None
    delimiter = re.search(r"delimiter=['\"](.)['\"]", text)
    names = (word.split(":")[0].lower() for word in re.sub(r"delimiter=\S+", "", text).split())
    return tuple(OTHER_NAMES.get(name, name) for name in names), delimiter[1] if delimiter else None


def _print(rows: list[Job], columns: tuple[str, ...], gap: str | None, flags: dict[str, str]) -> None:
    known = [_fields(job) for job in rows]
    if known and (unknown := set(columns) - set(known[0])):
        fail(f"bjobs: {sorted(unknown)}: unknown field")
    if "-json" in flags:
        records = [{name.upper(): "" if row[name] == "-" else row[name] for name in columns} for row in known]
        say(json.dumps({"COMMAND": "bjobs", "JOBS": len(rows), "RECORDS": records}, indent=2))
        return
    table = [[row[name] for name in columns] for row in known]
    if table and "-noheader" not in flags:
        table.insert(0, [name.upper() for name in columns])
    widths = [max(len(line[at]) for line in table) for at in range(len(columns))] if table else []
    for line in table:
        say(gap.join(line) if gap else " ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _fields(job: Job) -> dict[str, str]:
    hosts = ":".join(f"{number}*{host}" if number > 1 else host for host, (number, _) in job["hosts"].items())
    options, name = job["options"], job["name"] + (f"[{job['jobindex']}]" if job["jobindex"] else "")
    seconds = f"{int((job['ended'] or now()) - job['started'])} second(s)" if job["started"] else "-"
    return {
        "jobid": str(job["jobid"]),
        "jobindex": str(job["jobindex"]),
        "stat": job["stat"],
        "user": os.environ.get("USER", "root"),
        "queue": job["queue"],
        "job_name": name,
        "exit_code": str(job["code"]) if job["code"] else "-",
        "exit_reason": told(job["reason"]) if job["reason"] else "-",
        "exec_host": hosts or "-",
        "first_host": next(iter(job["hosts"]), "-"),
        "nalloc_slot": str(sum(number for number, _ in job["hosts"].values()) or "-"),
        "submit_time": _clock(job["submitted"]),
        "start_time": _clock(job["started"]),
        "finish_time": _clock(job["ended"]),
        "run_time": seconds,
        "pend_reason": job["pending"] or "-",
        "output_file": options.get("-o", options.get("-oo", "-")),
        "sub_cwd": job["cwd"],
        "proj_name": options.get("-P", "default"),
        "from_host": os.uname().nodename,
    }


def _clock(seconds: float | None) -> str:
    return time.strftime("%b %e %H:%M", time.localtime(seconds)) if seconds else "-"


def _found(lab: Lab, ids: list[str]) -> list[Job]:
    found: list[Job] = []
    for name in ids:
        here = matching(lab.jobs(), name)
        if not here:
            sys.stderr.write(f"Job <{name}> is not found\n")
        found += here
    return found


def bpeek(lab: Lab, words: list[str]) -> int:
    """bpeek job_ID: what the job has said so far."""
    for job in _found(lab, words):
        say("<< output from stdout >>\n" + lab.spool(job["key"], "out").read_text(errors="replace"))
    return 0


def bhist(lab: Lab, words: list[str]) -> int:
    """bhist, bacct [-l] job_ID: every start and end."""
    for job in _found(lab, [word for word in words if not word.startswith("-")]):
        say(
            f"Job <{job['jobid']}>, Job Name <{job['name']}>, Queue <{job['queue']}>\n{time.ctime(job['submitted'])}: Submitted"
        )
        for run in job["runs"]:
            ended = f"Exited with exit code {run['code']}" if run["code"] else "Done successfully"
            why = f"; {told(run['reason'])}" if run["reason"] else ""
            say(f"{time.ctime(run['start'])}: Started\n{time.ctime(run['end'])}: {ended}{why}")
    return 0


def bqueues(lab: Lab, words: list[str]) -> int:
    """bqueues [queue ...]: 255 for a queue that is not there."""
    wanted = [word for word in words if not word.startswith("-")] or lab.queues
    if missing := [queue for queue in wanted if queue not in lab.queues]:
        fail(f"{missing[0]}: No such queue")
    say("QUEUE_NAME      PRIO STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN  SUSP")
    for queue in wanted:
        states = [job["stat"] for job in lab.jobs() if job["queue"] == queue and job["stat"] not in FINISHED]
        pend, run = states.count("PEND"), states.count("RUN")
        counts = f"{len(states):5} {pend:5} {run:5} {len(states) - pend - run:5}"
        say(f"{queue:15} {30:4} {'Open:Active':15} {'-':>3} {'-':>4} {'-':>4} {'-':>4} {counts}")
    return 0


def bhosts(lab: Lab, words: list[str]) -> int:
    """bhosts [host ...]."""
    say("HOST_NAME          STATUS       JL/U    MAX  NJOBS    RUN  SSUSP  USUSP    RSV")
    for host, (slots, _) in lab.hosts.items():
        if not words or host in words:
            used = sum(job["hosts"].get(host, (0,))[0] for job in lab.jobs() if job["stat"] == "RUN")
            state = "unavail" if lab.is_down(host) else "closed" if used >= slots else "ok"
            say(f"{host:18} {state:12} {'-':>4} {slots:6} {used:6} {used:6} {0:6} {0:6} {0:6}")
    return 0


def lsid(lab: Lab, words: list[str]) -> int:
    """lsid: version, cluster and master."""
    say(f"radforge's stand-in for IBM Spectrum LSF 10.1\n\nMy cluster name is lab\nMy master name is {next(iter(lab.hosts))}")
    return 0
