"""A headless Chromium, for pages that must work in one. `missing()` says in a sentence why there is none, or nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path
from shutil import which

from tests.lab import packages

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def program() -> str | None:
    """Where it is."""
    return next((path for path in map(which, PROGRAMS) if path), None)


def missing() -> str:
    """Installs Debian's `chromium` where that can be done (root, apt)."""
    return packages.install(("chromium",), lambda: [] if program() else ["chromium"])


def dump(address: str, profile: Path, wait_ms: int = 2000) -> str:
    """The page as it stands after its scripts have run. `profile`: a folder of the test's own."""
    command = [
        program() or PROGRAMS[0], "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
        f"--virtual-time-budget={wait_ms}", "--dump-dom", address,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
