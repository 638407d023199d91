"""A headless Chromium, for pages that must work in one.

`dump` gives the page after its scripts have run, `browser` a page to act on through the DevTools protocol.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which
from typing import Any
from urllib.request import urlopen

import pytest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.lab import packages

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
)
WAIT_S = 20.0
_CODES = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


def program() -> str | None:
    """Where it is."""
    return next((path for path in map(which, PROGRAMS) if path), None)


def missing() -> str:
    """Why there is none, in a sentence, or ""; installs Debian's `chromium` where that can be done (root, apt)."""
    return packages.install(("chromium",), lambda: [] if program() else ["chromium"])


def required() -> None:
    """Skips the test that runs where there is none and none can be had."""
    why = missing()
    if why:
        pytest.skip(why)


def dump(address: str, profile: Path, wait_ms: int = 2000) -> str:
    """The page as it stands after its scripts have run. `profile`: a folder of the test's own."""
    command = [*_command(profile), f"--virtual-time-budget={wait_ms}", "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


class Page:
    """One page; what it logs and what it throws is kept in `errors`."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.errors: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)

    async def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """One command, and its answer."""
        number = next(self._numbers)
        await self._socket.write_message(json.dumps({"id": number, "method": method, "params": arguments}))
        while True:
            text = await asyncio.wait_for(self._socket.read_message(), WAIT_S)
            assert text is not None, "the browser is gone"
            message: dict[str, Any] = json.loads(text)
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])
            if message.get("method") in {"Runtime.exceptionThrown", "Log.entryAdded"}:
                self.errors.append(json.dumps(message["params"]))

    async def open(self, url: str, width: int = 1400, height: int = 900, *, dark: bool = False) -> None:
        """Load an address in a window of this size."""
        for domain in ("Runtime", "Log", "Page"):
            await self.call(f"{domain}.enable")
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Page.navigate", url=url)
        await self.until(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    async def value(self, script: str) -> Any:
        """What an expression gives."""
        result = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, script: str) -> Any:
        """Wait until an expression is true, and give it."""
        end = time.monotonic() + WAIT_S
        while True:
            found = await self.value(script)
            if found or time.monotonic() > end:
                assert found, f"never true: {script}; {self.errors}"
                return found
            await asyncio.sleep(0.02)

    async def press(self, key: str) -> None:
        """A key of the keyboard, as the browser gets it from the system."""
        code = _CODES.get(key) or ord(key.upper())
        text = {"text": key} if len(key) == 1 else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    async def click(self, selector: str) -> None:
        """The mouse, in the middle of an element."""
        x, y = await self.value(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2] })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def screenshot(self, path: Path) -> None:
        """What is seen."""
        path.write_bytes(base64.b64decode((await self.call("Page.captureScreenshot"))["data"]))


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    """A browser with an empty profile in `folder`, and its one page."""
    command = [*_command(folder), "--remote-debugging-port=0", "about:blank"]
    home = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=home)
    try:
        port_file = folder / "DevToolsActivePort"
        end = time.monotonic() + WAIT_S
        while not (port_file.exists() and port_file.read_text().count("\n")):
            assert process.poll() is None, "Chromium does not start"
            assert time.monotonic() < end, "Chromium does not answer"
            await asyncio.sleep(0.05)
        port = port_file.read_text().split()[0]
        with urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            target = next(page for page in json.load(answer) if page["type"] == "page")
        socket = await websocket_connect(target["webSocketDebuggerUrl"], max_message_size=64 << 20)
        yield Page(socket)
        socket.close()
        while await asyncio.wait_for(socket.read_message(), WAIT_S) is not None:
            pass  # until the browser has closed its end
    finally:
        process.terminate()
        process.wait(timeout=WAIT_S)


def _command(profile: Path) -> list[str]:
    return [program() or PROGRAMS[0], *OPTIONS, f"--user-data-dir={profile}"]
