"""A headless Chromium driven by the DevTools protocol: a context of its own for each test, pages, what a page says.

One task talks to the browser: a command is sent and what comes is read until its answer is there, so events lie in
order in :attr:`Browser.events`.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from websockets.asyncio.client import ClientConnection, connect

START_S = 30.0
_ARROWS = {"End": 35, "Home": 36, "ArrowUp": 38, "ArrowDown": 40}
ANSWER_S = 20.0

_FLAGS = (
    "--headless",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--metrics-recording-only",
    "--password-store=basic",
    "--use-mock-keychain",
    "--disable-popup-blocking",
    "--proxy-server=direct://",
    # Whatever name a page makes up is this machine: nothing leaves it.
    "--host-resolver-rules=MAP * 127.0.0.1, EXCLUDE [::1], EXCLUDE ::1",
    "--remote-debugging-port=0",
)


def executable() -> str | None:
    """Return the Chromium of this machine."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("AMPMAP_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@contextmanager
def launched(profile: Path) -> Iterator[str]:
    """Run a browser while the context lasts; yield the URL of its DevTools socket."""
    program = executable()
    assert program is not None
    flags = [*_FLAGS, f"--user-data-dir={profile}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    log = profile.parent / "chromium.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *flags, "about:blank"], stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield _devtools(process, profile / "DevToolsActivePort", log)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _devtools(process: subprocess.Popen[bytes], file: Path, log: Path) -> str:
    deadline = time.monotonic() + START_S
    while not (file.exists() and len(lines := file.read_text().split()) == 2):
        assert process.poll() is None and time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]
        time.sleep(0.02)
    return f"ws://127.0.0.1:{lines[0]}{lines[1]}"


@dataclass
class Browser:
    """The connection to a browser."""

    socket: ClientConnection
    events: list[dict[str, Any]] = field(default_factory=list)
    context: str = ""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def call(self, method: str, session: str = "", **params: Any) -> Any:
        """Send a command and return its result."""
        number = await self.send(method, session, **params)
        with anyio.fail_after(ANSWER_S):
            while True:
                message = await self._receive()
                if message.get("id") == number:
                    assert "error" not in message, (method, message["error"])
                    return message["result"]

    async def send(self, method: str, session: str = "", **params: Any) -> int:
        """Send a command without waiting for its answer."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        await self.socket.send(json.dumps(command))
        return number

    async def event(self, method: str, **having: Any) -> dict[str, Any]:
        """Return the params of the next event called ``method`` with these params; it is taken out of ``events``."""
        with anyio.fail_after(ANSWER_S):
            while True:
                for event in self.events:
                    if event["method"] == method and all(event["params"].get(k) == v for k, v in having.items()):
                        self.events.remove(event)
                        return dict(event["params"])
                await self._receive()

    async def permit(self, origin: str, *permissions: str) -> None:
        """Grant what a user would be asked for."""
        await self.call(
            "Browser.grantPermissions", origin=origin, permissions=permissions, browserContextId=self.context
        )

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.socket.recv())
        if "id" not in message:
            self.events.append(message)
        return message

    @asynccontextmanager
    async def page(self) -> AsyncIterator[Page]:
        """Open an empty page."""
        target = await self.call("Target.createTarget", url="about:blank", browserContextId=self.context)
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = Page(self, attached["sessionId"])
        await page.call("Page.enable")
        try:
            yield page
        finally:
            await self.call("Target.closeTarget", targetId=target["targetId"])


@dataclass
class Page:
    """One page of a browser."""

    browser: Browser
    session: str

    async def call(self, method: str, **params: Any) -> Any:
        """Send a command to the page."""
        return await self.browser.call(method, self.session, **params)

    async def go(self, url: str) -> str:
        """Go to a page, as if its address had been typed, and wait until it is there; return what went wrong."""
        self.browser.events.clear()
        gone = await self.call("Page.navigate", url=url, transitionType="typed")
        if "errorText" not in gone:
            await self.browser.event("Page.loadEventFired")
        return str(gone.get("errorText", ""))

    async def run(self, script: str) -> Any:
        """Run the body of an async function in the page, as if a user had clicked; return what it returns."""
        answer = await self.call(
            "Runtime.evaluate",
            expression=f"(async () => {{{script}}})()",
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def go_by(self, script: str) -> None:
        """Leave the page by what ``script`` does in it, and wait until the other page is there."""
        self.browser.events.clear()
        await self.run(f"setTimeout(() => {{ {script} }}, 0)")
        await self.browser.event("Page.loadEventFired")

    async def text(self) -> str:
        """Return the text that the page shows."""
        return str(await self.run("return document.body ? document.body.innerText : ''"))

    async def looks(self, width: int, height: int, scheme: str, *, still: bool = False, scale: int = 1) -> None:
        """Have the page shown in a window of this size, in ``light`` or ``dark``, and ``still`` without motion."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        motion = {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"}
        await self.call(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}, motion]
        )

    async def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key."""
        code, text = {"Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " ")}.get(key, (0, ""))
        for kind in ("keyDown", "keyUp"):
            down = {"text": text} if kind == "keyDown" and text else {}
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code or _ARROWS[key],
                modifiers=8 if shift else 0, **down,
            )  # fmt: skip

    async def until(self, condition: str) -> None:
        """Wait until an expression is true in the page."""
        with anyio.fail_after(ANSWER_S):
            while not await self.run(f"return Boolean({condition})"):
                await anyio.sleep(0.02)

    async def picture(self, path: Path) -> None:
        """Write a picture of the page."""
        form = {"format": "webp", "quality": 82} if path.suffix == ".webp" else {"format": "png"}
        shot = await self.call("Page.captureScreenshot", **form)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Browser]:
    """Connect to a browser; cookies, workers and caches are the connection's own and go with it."""
    async with connect(url, max_size=None, proxy=None, compression=None) as socket:
        browser = Browser(socket)
        browser.context = (await browser.call("Target.createBrowserContext"))["browserContextId"]
        try:
            yield browser
        finally:
            await browser.call("Target.disposeBrowserContext", browserContextId=browser.context)
