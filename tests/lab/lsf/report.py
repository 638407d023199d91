"""Where a job's output goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from tests.lab.lsf.state import Job, Lab

REASONS = {
    "TERM_OWNER": "job killed by owner",
    "TERM_REQUEUE_OWNER": "job killed and requeued by owner",
    "TERM_RUNLIMIT": "job killed after reaching LSF run time limit",
    "TERM_MEMLIMIT": "job killed after reaching LSF memory usage limit",
    "TERM_ZOMBIE": "job exited while LSF is not available",
}
"""Page "Termination reasons displayed by bacct, bhist, and bjobs"."""


def told(reason: str) -> str:
    """A termination reason as LSF prints it."""
    return f"{reason}: {REASONS[reason]}"


class Output:
    """bsub -o, -oo, -e, -eo: %J is the id, %I the index; -o and -e append, -oo and -eo overwrite.

    lsf.conf LSB_STDOUT_DIRECT=N (the default): the files appear only when the job is over, the output after a report; meanwhile
    `bpeek` shows it. Without -e, stderr goes with stdout.
    """

    def __init__(self, lab: Lab, job: Job) -> None:
        self.lab, self.job, self.options = lab, job, job["options"]
        self.direct = lab.conf.get("LSB_STDOUT_DIRECT", "N").upper() == "Y"
        self.out, self.err = self._path("-o"), self._path("-e")

    def _path(self, option: str) -> Path | None:
        name = self.options.get(option, self.options.get(option + "o"))
        if name is None:
            return None
        return Path(self.job["cwd"], name.replace("%J", str(self.job["jobid"])).replace("%I", str(self.job["jobindex"])))

    @contextmanager
    def opened(self) -> Iterator[tuple[IO[str], IO[str]]]:
        """stdout and stderr for the job."""
        with ExitStack() as files:
            stdout = files.enter_context(self._opened(self.out, "-o", "out"))
            stderr = files.enter_context(self._opened(self.err, "-e", "err")) if self.err else stdout
            yield stdout, stderr

    def _opened(self, path: Path | None, option: str, name: str) -> IO[str]:
        if self.direct and path:
            return path.open("a" if option in self.options else "w")
        return self.lab.spool(self.job["key"], name).open("w")

    def write(self, code: int, reason: str) -> None:
        """The report and the output, once the job is over."""
        if self.direct:
            return
        if self.out:
            text = self.lab.spool(self.job["key"], "out").read_text(errors="replace")
            with self.out.open("a" if "-o" in self.options else "w") as file:
                file.write(self._report(code, reason) + text)
        if self.err:
            with self.err.open("a" if "-e" in self.options else "w") as file:
                file.write(self.lab.spool(self.job["key"], "err").read_text(errors="replace"))

    def _report(self, code: int, reason: str) -> str:
        host, word = next(iter(self.job["hosts"])), "Exited" if code else "Done"
        killed = f"{told(reason)}.\n" if reason else ""
        end = f"{killed}Exited with exit code {code}.\n" if code else "Successfully completed.\n"
        return (
            f"Sender: LSF System <lsfadmin@{host}>\n"
            f"Subject: Job {self.job['jobid']}: <{self.job['name']}> in cluster <lab> {word}\n\n"
            f"{'-' * 60}\n\n{end}\nThe output (if any) follows:\n\n"
        )
