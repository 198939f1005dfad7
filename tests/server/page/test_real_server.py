"""The page with the server itself: on a tone in the place of the networks, and on the tiny set."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

import browser
import golden_copies
import httpx
import served
import support
from browser import PLAYED, Seen, launched, page_of, trimmed_hash
from fake_speech_api import tap_route

from indextts_jax.server import run
from indextts_jax.server.access import Keys
from indextts_jax.server.app import create_app
from indextts_jax.server.state import ServerState

pytestmark = pytest.mark.nightly
TEXT = "The river had been rising since Tuesday. We carried the chairs upstairs."
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with launched() as made:
        yield made


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> ServerState:
    """A server on a tone, which also answers with the module that listens to the page."""

    def tapped(state: ServerState) -> Any:
        gate = create_app(state)
        gate.app.router.routes.insert(0, tap_route())
        return gate

    monkeypatch.setattr(run, "create_app", tapped)
    return served.tone_state(monkeypatch, body_bytes=50_000)


@pytest.fixture
def address(state: ServerState) -> Iterator[str]:
    with served.running(state) as found:
        yield f"{found}/"


@pytest.fixture
def seen(chromium: Any, address: str) -> Iterator[Seen]:
    with page_of(chromium, address) as page:
        yield page


def speak(seen: Seen, text: str = TEXT) -> None:
    seen.page.fill("#text", text)
    seen.page.keyboard.press("Control+Enter")


def answered(address: str, seen: Seen, text: str, voice: str) -> np.ndarray:
    """The samples of the request that the page sent last, asked for once more."""
    seed = int(seen.page.input_value("#seed"))
    body = {"voice": voice, "input": text, "seed": seed, "response_format": "pcm"}
    answer = httpx.post(
        f"{address}v1/audio/speech", json=body | {"sample_rate": 22_050}, timeout=600
    )
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, "<i2")


def test_played_samples_are_those_of_the_server(seen: Seen, address: str) -> None:
    speak(seen)
    seen.page.wait_for_selector("#dock:not([hidden])")
    seen.ended()
    assert seen.page.evaluate(PLAYED) == trimmed_hash(answered(address, seen, TEXT, "anna"))
    assert "tokens" in seen.page.locator("#counts").inner_text()


def test_stop_frees_the_slot(seen: Seen, state: ServerState) -> None:
    state.engine.pace, state.engine.steps = 0.05, 20  # type: ignore[attr-defined]
    speak(seen, f"{TEXT} " * 20)
    seen.until(lambda: state.engine.load().slots > 0)
    seen.page.wait_for_selector("#figures div")
    seen.page.keyboard.press("Escape")
    seen.until(lambda: state.engine.load().jobs == state.engine.load().slots == 0, 3.0)
    assert state.engine.counts.cancelled == 1
    assert seen.page.input_value("#text").startswith(TEXT)


def test_key_is_asked_for_and_used(
    chromium: Any, address: str, state: ServerState, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{hashlib.sha256(b'secret').hexdigest()} anna\n")
    state.keys = Keys(keys)
    context = chromium.new_context(locale="en-GB")
    seen = Seen(context.new_page())
    seen.page.goto(address)
    seen.page.wait_for_selector("#alerts .notice.bad")
    seen.page.click("#alerts button:has-text('About')")
    seen.page.keyboard.type("secret")
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector("#about-list dt")
    seen.page.click('nav a[href="#speak"]')
    speak(seen)
    seen.page.wait_for_selector("#dock:not([hidden])")
    seen.check(address)
    context.close()


def test_errors_of_fields_are_shown_at_them(seen: Seen) -> None:
    seen.page.click("#advanced summary")
    for field, value in (("temperature", "-1"), ("top_p", "2"), ("top_k", "many"), ("seed", "-5")):
        seen.page.fill(f"#{field}", value)
        seen.page.keyboard.press("Control+Enter")
        if field != "seed":
            seen.page.fill("#text", TEXT)
            seen.page.keyboard.press("Control+Enter")
        seen.page.wait_for_selector(f"#{field}[aria-invalid=true]")
        seen.page.fill(f"#{field}", "")
    seen.page.click("#emotion-kinds label:nth-child(4)")
    seen.page.fill("#emotion-text", "overjoyed")
    seen.page.keyboard.press("Control+Enter")
    seen.page.wait_for_selector("#emotion-text[aria-invalid=true]")


def test_recording_that_is_too_large_is_refused(seen: Seen, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes((support.TINY / "speaker.wav").read_bytes())
    seen.page.set_input_files("#file", path)
    seen.page.wait_for_selector("#voice-dialog[open]")
    seen.page.fill("#voice-name", "long")
    seen.page.check("#consent")
    seen.page.click("#voice-save")
    seen.page.wait_for_selector("#voice-error:not(:empty)")
    assert "50,000 bytes" in seen.page.locator("#voice-error").inner_text()


def test_tiny_set_clones_a_voice_and_speaks(
    chromium: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a recording to speech with nothing replaced; minutes, as everything is compiled."""
    monkeypatch.setattr(browser, "LISTEN", "window.violations = [];")  # no tap in this process
    process, address = tiny_server(tmp_path)
    try:
        with page_of(chromium, address) as seen:
            seen.page.set_input_files("#file", support.TINY / "speaker.wav")
            seen.page.wait_for_selector("#voice-dialog[open]")
            seen.page.fill("#voice-name", "Tiny speaker")
            seen.page.check("#consent")
            seen.page.click("#voice-save")
            seen.page.wait_for_selector("#voice-picker input:checked", timeout=600_000)
            speak(seen, "Hello world.")
            seen.ended(600)
            with seen.page.expect_download() as download:
                seen.page.click("#downloads [data-format=wav]")
            samples = np.frombuffer(Path(download.value.path()).read_bytes()[44:], "<i2")
            wanted = answered(address, seen, "Hello world.", "Tiny speaker")
            np.testing.assert_array_equal(samples, wanted)
    finally:
        process.terminate()
        process.wait(120)


def tiny_server(folder: Path) -> "tuple[subprocess.Popen[str], str]":
    """A server on the tiny set in a process of its own, and its address."""
    words = ("--port=0", "--steps=2", "--max_codes=60", "--batch=2", "--warm_up=none")
    checkpoint = f"--checkpoint={golden_copies.shared()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "indextts_jax.serve", checkpoint, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"INDEXTTS_JAX_VOICES": str(folder), "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    line = next(line for line in process.stdout if "Listening on " in line)
    address = line.split("Listening on ")[1].strip() + "/"
    until = time.monotonic() + 600
    while time.monotonic() < until:
        if httpx.get(f"{address}ready").status_code == 200:
            return process, address
        time.sleep(0.2)
    process.kill()
    raise AssertionError(json.dumps(httpx.get(f"{address}ready").json()))
