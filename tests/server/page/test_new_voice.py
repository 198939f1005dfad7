"""Voices from files and from the microphone, and recordings that are no use."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from browser import Seen, launched, page_of
from fake_speech_api import Behaviour, Fake, samples_of, served

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def server() -> Iterator[Fake]:
    with served() as fake:
        yield fake


@pytest.fixture
def fake(server: Fake) -> Fake:
    server.behaviour, server.uploads, server.voices = Behaviour(), [], []
    return server


def recording(path: Path, seconds: float, gain: float = 0.7) -> Path:
    soundfile.write(path, samples_of({}, seconds) / 32_768 * gain, 22_050, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.fixture
def seen(chromium: Any, fake: Fake) -> Iterator[Seen]:
    with page_of(chromium, fake.url) as page:
        yield page


def save(seen: Seen, name: str) -> None:
    seen.page.fill("#voice-name", name)
    seen.page.check("#consent")
    seen.page.click("#voice-save")


def record(seen: Seen, milliseconds: int) -> None:
    seen.page.click("#record-voice")
    seen.page.click("#record-toggle")
    seen.when("document.getElementById('record-time').textContent >= '0:01'")
    seen.page.wait_for_timeout(milliseconds)
    seen.page.click("#record-toggle")


def test_file_becomes_a_voice_that_is_chosen(seen: Seen, fake: Fake, tmp_path: Path) -> None:
    path = recording(tmp_path / "grandmother (2).wav", 6.0)
    seen.page.set_input_files("#file", path)
    seen.page.wait_for_selector("#voice-dialog[open]")
    assert seen.page.input_value("#voice-name") == "grandmother  2"
    seen.page.click("#voice-save")
    assert "consent" in seen.page.locator("#voice-dialog .error-text:not(:empty)").inner_text()
    save(seen, "grandmother")
    seen.page.wait_for_selector("#voice-picker input:checked")
    assert fake.uploads == [path.read_bytes()]
    assert seen.page.locator("#voice-picker input:checked").get_attribute("value") == "grandmother"


def drop(seen: Seen, name: str, data: bytes, kind: str) -> None:
    transfer = seen.page.evaluate_handle(
        """([name, data, kind]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(data)], name, { type: kind }));
          return transfer;
        }""",
        [name, list(data), kind],
    )
    for event in ("dragenter", "dragover", "drop"):
        seen.page.dispatch_event("#drop", event, {"dataTransfer": transfer})


def test_dropped_file_opens_the_dialog(seen: Seen, tmp_path: Path) -> None:
    drop(seen, "anna.wav", recording(tmp_path / "a.wav", 3.0).read_bytes(), "audio/wav")
    seen.page.wait_for_selector("#voice-dialog[open]")
    assert "3.0 s" in seen.page.locator("#recording-name").inner_text()


def test_dropped_file_that_is_not_audio_says_what_to_use(seen: Seen) -> None:
    seen.page.fill("#text", "Not lost.")
    drop(seen, "letter.pdf", b"%PDF-1.7 " * 20, "application/pdf")
    seen.page.wait_for_selector("#alerts .notice.bad")
    assert "letter.pdf" in seen.notice()
    assert "WAV, FLAC" in seen.notice()
    assert seen.page.locator("#voice-dialog[open]").count() == 0
    assert seen.page.input_value("#text") == "Not lost."


def test_damaged_recording_is_refused_with_the_server_s_reason(seen: Seen) -> None:
    drop(seen, "anna.wav", b"nothing of the kind" * 9, "audio/wav")
    seen.page.wait_for_selector("#voice-dialog[open]")
    save(seen, "anna")
    seen.page.wait_for_selector("#voice-dialog .error-text:has-text('Format not recognised')")
    assert seen.page.input_value("#voice-name") == "anna"


def test_body_that_is_too_large_says_what_to_do(seen: Seen, fake: Fake, tmp_path: Path) -> None:
    fake.behaviour.body = 10_000
    seen.page.set_input_files("#file", recording(tmp_path / "long.wav", 5.0))
    seen.page.wait_for_selector("#voice-dialog[open]")
    save(seen, "long")
    seen.page.wait_for_selector("#voice-error:has-text('10,000 bytes')")
    assert "shorter recording" in seen.page.locator("#voice-error").inner_text()


def test_name_that_is_taken_is_marked(seen: Seen, fake: Fake, tmp_path: Path) -> None:
    path = recording(tmp_path / "anna.wav", 5.0)
    for _ in range(2):
        seen.page.set_input_files("#file", path)
        seen.page.wait_for_selector("#voice-dialog[open]")
        save(seen, "anna")
        seen.until(lambda: bool(fake.uploads))
    seen.page.wait_for_selector("#voice-name[aria-invalid=true]")
    assert "exists" in seen.page.locator("[data-field=name] .error-text").inner_text()


def test_microphone_becomes_a_voice(fake: Fake, tmp_path: Path) -> None:
    heard = recording(tmp_path / "microphone.wav", 8.0)
    with (
        launched(f"--use-file-for-fake-audio-capture={heard}") as browser,
        page_of(browser, fake.url) as seen,
    ):
        record(seen, 2500)
        seen.page.wait_for_selector("#recording-facts:not([hidden])")
        save(seen, "me")
        seen.page.wait_for_selector("#voice-picker input:checked")
    sound, rate = soundfile.read(io.BytesIO(fake.uploads[0]))
    assert len(sound) / rate > 2.5
    assert np.abs(sound).max() > 0.2


def test_silent_microphone_says_what_to_check(fake: Fake, tmp_path: Path) -> None:
    silent = recording(tmp_path / "silent.wav", 8.0, gain=0.0)
    with (
        launched(f"--use-file-for-fake-audio-capture={silent}") as browser,
        page_of(browser, fake.url) as seen,
    ):
        record(seen, 1000)
        seen.page.wait_for_selector("#voice-error:has-text('silent')")
        save(seen, "me")
        assert "microphone" in seen.page.locator("#voice-error").inner_text()
        assert fake.uploads == []


def test_refused_microphone_says_what_to_do(fake: Fake) -> None:
    with (
        launched("--deny-permission-prompts", allow_microphone=False) as browser,
        page_of(browser, fake.url) as seen,
    ):
        seen.page.click("#record-voice")
        seen.page.click("#record-toggle")
        seen.page.wait_for_selector("#voice-error:has-text('does not allow')")
        assert re.search("Allow it .* or choose a file", seen.page.inner_text("#voice-error"))


def test_voice_is_deleted_after_a_question(seen: Seen, fake: Fake) -> None:
    fake.voices = [{"id": "old", "name": "old", "created": "2026-01-01T00:00:00Z", "seconds": 4.0}]
    seen.page.click('nav a[href="#voices"]')
    seen.page.click("button[aria-label='Delete the voice old']")
    seen.page.click("#confirm-dialog button[value=no]")
    assert len(fake.voices) == 1
    seen.page.click("button[aria-label='Delete the voice old']")
    seen.page.click("#confirm-dialog .danger")
    seen.page.wait_for_selector("#voice-list .none")
    assert fake.voices == []
