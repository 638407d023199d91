"""A real Chromium without a screen, driven through its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tornado.websocket import WebSocketClientConnection, websocket_connect

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
WAIT_S = 20.0
_CODES = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


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
    assert CHROMIUM
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0")
    home = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    command = (
        CHROMIUM,
        *options,
        f"--user-data-dir={folder}",
        "--no-first-run",
        "--disable-background-networking",
        "about:blank",
    )
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
