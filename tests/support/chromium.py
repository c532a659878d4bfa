"""Debian's chromium without a window, over the DevTools protocol: pages as a reader's browser loads them.

The protocol runs over two pipes, a JSON object and a zero byte each: https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.binaries import binary
from tests.support.program import environment

READY_WITHIN_S = 60.0
# The browser reads commands from file descriptor 3 and writes to 4.
TO_BROWSER, FROM_BROWSER = 3, 4


class Tab:
    """One tab. `requests` are the URLs that its pages asked for, `errors` what their scripts threw."""

    def __init__(self, write: int, read: int) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._write, self._read = write, read
        self._left = b""
        self._last = 0
        self._session: str | None = None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page", "Runtime"):
            self._call(f"{domain}.enable")

    def open(self, url: str, *, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Load a page and wait for its `load` event."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **metrics)
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def value_of(self, expression: str) -> Any:
        """What a JavaScript expression is in the page, as JSON."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until a JavaScript expression is true. Raises AssertionError where it does not become so."""
        deadline = time.monotonic() + READY_WITHIN_S
        while not self.value_of(expression):
            assert time.monotonic() < deadline, f"not so after {READY_WITHIN_S} s: {expression}; {self.errors}"
            time.sleep(0.05)

    def picture(self, file: Path) -> None:
        """Write what the tab shows as PNG."""
        file.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._last:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        if event["method"] == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        elif event["method"] == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(event["params"]["exceptionDetails"]))

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            piece = os.read(self._read, 1 << 16)
            assert piece, "chromium ended"
            self._left += piece
        text, _, self._left = self._left.partition(b"\0")
        answer: dict[str, Any] = json.loads(text)
        return answer


@contextmanager
def running_chromium(folder: Path) -> Iterator[Tab]:
    """A browser with a profile in `folder`, for the length of a block. Its own services stay off."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        binary("chromium"),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--disable-background-networking", "--disable-component-update", "--no-first-run"),
        f"--user-data-dir={folder}/profile",
        "--remote-debugging-pipe",
    ]
    read_commands, write = os.pipe()
    read, write_answers = os.pipe()

    def place_pipes() -> None:
        # High numbers first: one of the two pipes may have the number of the other's place.
        commands, answers = os.dup(read_commands), os.dup(write_answers)
        os.dup2(commands, TO_BROWSER)
        os.dup2(answers, FROM_BROWSER)

    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            close_fds=False,
            preexec_fn=place_pipes,  # noqa: PLW1509 - the only way to give a child descriptors by number
        )
    try:
        os.close(read_commands)
        os.close(write_answers)
        yield Tab(write, read)
    finally:
        process.terminate()
        process.wait(READY_WITHIN_S)
        os.close(write)
        os.close(read)
