"""Chromium for the tests of the page, and what they see in it."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

# Hands over all that reaches the loudspeaker. `page/test-tap.js` must answer with `TAP`: Playwright
# does not intercept the modules of worklets.
TAP = """
registerProcessor("tap", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.port.onmessage = () => this.port.postMessage(null); // follows every block before it
  }
  process([[input]]) {
    if (input) this.port.postMessage(input.slice());
    return true;
  }
});
"""
LISTEN = """
(() => {
  window.violations = [];
  document.addEventListener("securitypolicyviolation", ({ violatedDirective }) => {
    window.violations.push(violatedDirective);
  });
  if (typeof AudioWorklet === "undefined") return;
  window.played = [];
  window.taps = [];
  const { addModule } = AudioWorklet.prototype, { connect } = AudioNode.prototype;
  AudioWorklet.prototype.addModule = async function (address) {
    await addModule.call(this, new URL("page/test-tap.js", document.baseURI));
    return addModule.call(this, address);
  };
  AudioNode.prototype.connect = function (target, ...rest) {
    if (this instanceof AudioWorkletNode && target instanceof AudioDestinationNode) {
      const tap = new AudioWorkletNode(this.context, "tap", { numberOfOutputs: 0 });
      tap.port.onmessage = ({ data }) => data ? window.played.push(data) : tap.flushed();
      window.taps.push(tap);
      connect.call(this, tap);
    }
    return connect.call(this, target, ...rest);
  };
})();
"""
# What reached the loudspeaker as 16 bits, from the first to the last sample that is not zero. Each
# tap is asked for an answer first: the player's report of the end may come before its last block.
PLAYED = """
async () => {
  await Promise.all(window.taps.map((tap) => new Promise((resolve) => {
    tap.flushed = resolve;
    tap.port.postMessage(null);
  })));
  const blocks = window.played, all = new Int16Array(blocks.reduce((n, b) => n + b.length, 0));
  let at = 0;
  for (const block of blocks) for (const x of block) all[at++] = Math.round(x * 32768);
  let from = 0, to = all.length;
  while (from < to && all[from] === 0) from++;
  while (to > from && all[to - 1] === 0) to--;
  const bytes = new Uint8Array(all.buffer, 2 * from, 2 * (to - from));
  return crypto.subtle.digest("SHA-256", bytes).then((hash) =>
    [to - from, [...new Uint8Array(hash)].map((b) => b.toString(16).padStart(2, "0")).join("")]);
}
"""


def executable() -> str:
    """The path of Chromium; skips the test where there is none."""
    found = os.environ.get("INDEXTTS_CHROMIUM") or shutil.which("chromium")
    found = found or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("Chromium is not installed (INDEXTTS_CHROMIUM may name it)")
    return found


_drivers: list[Any] = []


@contextlib.contextmanager
def _driver() -> Iterator[Any]:
    """Playwright's process, of which a thread can have one."""
    if _drivers:
        yield _drivers[-1]
        return
    with sync_api.sync_playwright() as playwright:
        _drivers.append(playwright)
        try:
            yield playwright
        finally:
            _drivers.pop()


@contextlib.contextmanager
def launched(*more: str, allow_microphone: bool = True) -> Iterator[Any]:
    """A Chromium that makes no sound and uses a made-up microphone."""
    flags = [
        "--no-sandbox",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-device-for-media-stream",
        *more,
    ]
    if allow_microphone:
        flags.append("--use-fake-ui-for-media-stream")
    path = executable()
    with _driver() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        try:
            yield browser
        finally:
            browser.close()


class Seen:
    """A page with what it did that a test may object to."""

    def __init__(self, page: Any):
        self.page = page
        self.errors: list[str] = []
        self.addresses: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.addresses.append(request.url))
        page.on("console", self._log)
        page.add_init_script(LISTEN)

    def _log(self, message: Any) -> None:
        # An answer that is an error, or a broken connection: tests cause these.
        expected = ("Failed to load resource", "net::ERR_")
        if message.type == "error" and not any(word in message.text for word in expected):
            self.errors.append(message.text)

    def open(self, address: str) -> None:
        self.page.goto(address)
        self.page.wait_for_selector("html[lang] #voice-picker > *")

    def notice(self) -> str:
        return self.page.locator("#alerts .notice").inner_text()

    def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Waits for something outside the page."""
        for _ in range(int(seconds * 20)):
            if condition():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError("this did not happen in time")

    def when(self, condition: str, seconds: float = 30.0) -> None:
        """Waits for an expression to be true in the page.

        Not `wait_for_function`, which evaluates in a way that the page's policy forbids.
        """
        self.until(lambda: bool(self.page.evaluate(condition)), seconds)

    def ended(self, seconds: float = 60.0) -> None:
        """Waits until the player has played to the end."""
        self.when(
            """() => {
              const { ariaValueNow, ariaValueMax } = document.getElementById("wave");
              const { disabled } = document.getElementById("stop");
              return disabled && Number(ariaValueMax) > 0 && ariaValueNow === ariaValueMax;
            }""",
            seconds,
        )

    def check(self, origin: str) -> None:
        """No error in the page, nothing that its policy forbids, no request elsewhere."""
        assert self.errors == []
        assert self.page.evaluate("window.violations") == []
        elsewhere = [a for a in self.addresses if not a.startswith((origin, "blob:"))]
        assert elsewhere == []


@contextlib.contextmanager
def page_of(browser: Any, address: str, **context: Any) -> Iterator[Seen]:
    """The page, opened; afterwards it must have behaved."""
    options = {"locale": "en-GB", "viewport": {"width": 1280, "height": 900}} | context
    made = browser.new_context(**options)
    try:
        seen = Seen(made.new_page())
        seen.open(address)
        yield seen
        seen.check(address)
    finally:
        made.close()


def trimmed_hash(samples: np.ndarray) -> list[Any]:
    """Count and SHA-256 of samples from the first to the last that is not zero, as `PLAYED`."""
    some = np.flatnonzero(samples)
    sound = samples[some[0] : some[-1] + 1].astype("<i2")
    return [len(sound), hashlib.sha256(sound.tobytes()).hexdigest()]


def axe() -> Path:
    """The file axe.min.js of the npm package axe-core, which is too large to be stored here."""
    named = os.environ.get("INDEXTTS_AXE")
    if not named or not Path(named).is_file():
        pytest.skip("INDEXTTS_AXE does not name a file axe.min.js (npm package axe-core)")
    return Path(named)
