"""Speaking in the page: sound, stop, faults of the server, and what is never lost."""

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from browser import PLAYED, Seen, launched, page_of, trimmed_hash
from fake_speech_api import Behaviour, Fake, samples_of, served

ANNA = {"id": "anna", "name": "anna", "created": "2026-11-20T10:00:00Z", "seconds": 8.2}
TEXT = "The river had been rising since Tuesday. We carried the chairs upstairs."
nightly = pytest.mark.nightly


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def server() -> Iterator[Fake]:
    with served("/deep/tts") as fake:
        yield fake


@pytest.fixture
def fake(server: Fake) -> Fake:
    server.behaviour, server.bodies, server.uploads = Behaviour(), [], []
    server.voices, server.cancelled = [dict(ANNA)], 0
    return server


@pytest.fixture
def seen(chromium: Any, fake: Fake) -> Iterator[Seen]:
    with page_of(chromium, fake.url) as page:
        yield page


# Whether the history has sound already.
SAVED = """
async () => {
  const { records } = await import(new URL("page/db.js", document.baseURI).href);
  return (await records()).some(({ samples }) => samples > 0);
}
"""


def entries(seen: Seen) -> list[str]:
    """The lines of facts in the history."""
    seen.page.click('nav a[href="#history"]')
    return seen.page.locator("#history-list .facts-line").all_inner_texts()


def speak(seen: Seen, text: str = TEXT) -> None:
    seen.page.fill("#text", text)
    seen.page.keyboard.press("Control+Enter")


def figures(seen: Seen) -> dict[str, str]:
    pairs = seen.page.locator("#figures div").all()
    return {pair.locator("dt").inner_text(): pair.locator("dd").inner_text() for pair in pairs}


def test_played_samples_are_those_of_the_server(seen: Seen, fake: Fake) -> None:
    """Behind a path prefix, under the strict policy, by the keyboard alone."""
    fake.behaviour = Behaviour(seconds=2, prebuffer=2)  # so that no busy machine causes an underrun
    speak(seen)
    seen.until(lambda: bool(fake.bodies))
    seen.page.wait_for_selector("#dock:not([hidden])")
    seen.ended()
    assert seen.page.evaluate(PLAYED) == trimmed_hash(samples_of(fake.bodies[0], 2.0))
    assert figures(seen)["Underruns"] == "0"
    assert fake.bodies[0]["input"] == TEXT


@nightly
def test_stop_frees_the_slot_and_keeps_what_came(seen: Seen, fake: Fake) -> None:
    fake.behaviour = Behaviour(seconds=60, pace=2)
    speak(seen)
    seen.page.wait_for_selector("#figures div")
    seen.until(lambda: fake.running == 1)
    seen.page.keyboard.press("Escape")
    seen.until(lambda: fake.running == 0, 2.0)
    assert fake.cancelled == 1
    assert seen.page.locator("#play").get_attribute("aria-label") == "Play"
    assert seen.page.input_value("#text") == TEXT
    seen.until(lambda: "stopped early" in "".join(entries(seen)))


@nightly
def test_stall_within_the_prebuffer_causes_no_underrun(seen: Seen, fake: Fake) -> None:
    fake.behaviour = Behaviour(seconds=6, pace=1.5, stall_after=4, stall=2, prebuffer=2.5)
    speak(seen)
    seen.until(lambda: "Buffer" in figures(seen))
    seen.ended()
    assert figures(seen)["Underruns"] == "0"
    assert seen.page.evaluate(PLAYED) == trimmed_hash(samples_of(fake.bodies[0], 6.0))


@nightly
def test_stall_without_prebuffer_is_counted_and_played_on(seen: Seen, fake: Fake) -> None:
    fake.behaviour = Behaviour(seconds=3, pace=1.5, stall_after=1, stall=2)
    speak(seen)
    seen.page.wait_for_selector("#figures .bad")
    seen.ended()
    assert figures(seen)["Underruns"] == "1"
    count, _ = seen.page.evaluate(PLAYED)
    assert count > 3 * 22_050  # all of it, and the gap


@nightly
def test_server_that_goes_away_leaves_text_sound_and_advice(seen: Seen, fake: Fake) -> None:
    fake.behaviour = Behaviour(seconds=8, pace=8, break_after=3)
    speak(seen)
    seen.page.wait_for_selector("#alerts .notice.bad")
    assert "ended in mid-speech" in seen.notice()
    assert "in History" in seen.notice()
    assert seen.page.input_value("#text") == TEXT
    seen.until(lambda: "cut off" in "".join(entries(seen)))
    assert float(entries(seen)[0].split(" · ")[1].removesuffix(" s")) > 1
    fake.behaviour = Behaviour(seconds=1)
    seen.page.click("#alerts button:has-text('Speak again')")
    seen.until(lambda: len(entries(seen)) == 2)


@nightly
def test_wrong_key_says_where_to_enter_it(chromium: Any, fake: Fake) -> None:
    fake.behaviour.key = "secret"
    context = chromium.new_context(locale="en-GB")
    seen = Seen(context.new_page())
    seen.page.goto(fake.url)
    seen.page.wait_for_selector("#alerts .notice.bad")
    assert "API key" in seen.notice()
    seen.page.click("#alerts button:has-text('About')")
    seen.page.keyboard.type("secret")
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector("#about-list dt")
    assert seen.page.evaluate("sessionStorage.length") == 1
    assert "secret" not in seen.page.evaluate("JSON.stringify(localStorage)")
    seen.page.click('nav a[href="#speak"]')
    speak(seen)
    seen.until(lambda: bool(fake.bodies))
    seen.check(fake.url)
    context.close()


@nightly
def test_reload_keeps_text_settings_and_what_came(seen: Seen, fake: Fake) -> None:
    fake.behaviour = Behaviour(seconds=60, pace=2)
    speak(seen)
    seen.page.click("#advanced summary")
    seen.page.fill("#top_k", "17")
    seen.when(SAVED)
    seen.page.reload()
    seen.page.wait_for_selector("#voice-picker input")
    assert seen.page.input_value("#text") == TEXT
    assert seen.page.input_value("#top_k") == "17"
    seen.until(lambda: "cut off" in "".join(entries(seen)))
    assert not entries(seen)[0].startswith("anna · 0.0")
    seen.until(lambda: fake.running == 0)


@nightly
def test_error_of_a_field_is_shown_at_it(seen: Seen, fake: Fake) -> None:
    seen.page.click("#advanced summary")
    seen.page.fill("#temperature", "hot")
    seen.page.click("#advanced summary")
    speak(seen)
    seen.page.wait_for_selector("#temperature[aria-invalid=true]")
    assert seen.page.evaluate("document.activeElement.id") == "temperature"
    shown = seen.page.locator("[data-field=temperature] .error-text").inner_text()
    assert shown == "temperature: Input should be a valid number"
    seen.page.fill("#temperature", "0.7")
    seen.page.keyboard.press("Control+Enter")
    seen.until(lambda: bool(fake.bodies))
    assert fake.bodies[0]["temperature"] == 0.7


@nightly
def test_request_has_what_the_controls_say_and_nothing_else(seen: Seen, fake: Fake) -> None:
    speak(seen)
    seen.until(lambda: len(fake.bodies) == 1)
    how = {"response_format", "stream_format", "sample_rate", "word_timestamps"}
    assert set(fake.bodies[0]) == {"model", "voice", "input", "seed"} | how
    page = seen.page
    page.click("#emotion-kinds label:nth-child(3)")
    page.focus("#weight-sad")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.focus("#speed")
    page.keyboard.press("ArrowRight")
    page.click("#advanced summary")
    page.fill("#seed", "7")
    page.keyboard.press("Control+Enter")
    seen.until(lambda: len(fake.bodies) == 2)
    assert fake.bodies[1]["emotion"] == {"weights": [0, 0, 0.2, 0, 0, 0, 0, 0]}
    assert (fake.bodies[1]["speed"], fake.bodies[1]["seed"]) == (1.05, 7)


@nightly
def test_seek_pause_and_download(seen: Seen, fake: Fake) -> None:
    fake.behaviour = Behaviour(seconds=20, pace=100)
    speak(seen)
    seen.when("document.getElementById('total').textContent === '0:20'")
    seen.page.focus("#wave")
    seen.page.keyboard.press("PageUp")
    seen.when("Number(document.getElementById('wave').ariaValueNow) >= 10")
    seen.page.click("#play")
    now = seen.page.locator("#wave").get_attribute("aria-valuenow")
    seen.page.wait_for_timeout(500)
    assert abs(float(seen.page.locator("#wave").get_attribute("aria-valuenow")) - float(now)) < 0.2
    with seen.page.expect_download() as download:
        seen.page.click("#downloads [data-format=wav]")
    with open(download.value.path(), "rb") as file:
        data = file.read()
    assert data[44:] == samples_of(fake.bodies[0], 20.0).tobytes()
    with seen.page.expect_download() as download:
        seen.page.click("#downloads [data-format=flac]")
    assert fake.bodies[1]["response_format"] == "flac"
    assert fake.bodies[1]["seed"] == fake.bodies[0]["seed"]


@nightly
def test_words_are_highlighted_as_they_are_spoken(seen: Seen, fake: Fake) -> None:
    fake.behaviour = Behaviour(seconds=6, pace=10)
    speak(seen)
    seen.page.wait_for_selector("#reading .now")
    assert seen.page.locator("#reading").inner_text() == TEXT
    first = seen.page.locator("#reading .now").inner_text()
    now = "document.querySelector('#reading .now')?.textContent"
    seen.until(lambda: seen.page.evaluate(now) not in (None, first))
    assert seen.page.locator("#reading .said").count() >= 1


@nightly
def test_history_speaks_again_copies_and_compares(seen: Seen, fake: Fake) -> None:
    fake.behaviour = Behaviour(seconds=1, pace=50)
    speak(seen)
    seen.until(lambda: len(entries(seen)) == 1)
    seen.page.click("#history-list button[aria-label='Speak again with the same recipe']")
    seen.until(lambda: len(entries(seen)) == 2)
    assert fake.bodies[0] == fake.bodies[1]
    for box in seen.page.locator("#history-list input[type=checkbox]").all():
        box.check()
    seen.page.click("#compare")
    seen.page.click("#compare-dialog [data-side='0']")
    seen.page.wait_for_selector("#compare-dialog [aria-pressed=true]")
    seen.page.click("#compare-reveal")
    assert seen.page.locator("#compare-answer li").count() == 2
    seen.page.keyboard.press("Escape")
    seen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    seen.page.locator("#history-list button[aria-label='Copy as Python']").first.click()
    seen.page.wait_for_selector("#alerts .notice")
    compile(seen.page.evaluate("navigator.clipboard.readText()"), "recipe", "exec")
    seen.page.click("#history-clear")
    seen.page.click("#confirm-dialog .danger")
    seen.page.wait_for_selector("#history-list .none")


@nightly
def test_plain_address_of_another_machine_plays_too(fake: Fake) -> None:
    """Browsers offer no AudioWorklet, microphone and clipboard there."""
    fake.behaviour = Behaviour(seconds=3, pace=3, stall_after=1.5, stall=1.5)
    there = fake.url.replace("127.0.0.1", "speech.test")
    with (
        launched("--host-resolver-rules=MAP speech.test 127.0.0.1") as browser,
        page_of(browser, there) as seen,
    ):
        for offered in ("isSecureContext", "'audioWorklet' in AudioContext.prototype"):
            assert seen.page.evaluate(offered) is False
        speak(seen)
        seen.until(lambda: "Underruns" in figures(seen))
        seen.ended()
        assert seen.page.locator("#total").inner_text() == "0:03"
        seen.page.click("#record-voice")
        seen.page.click("#record-toggle")
        seen.page.wait_for_selector("#voice-error:has-text('https://')")


@nightly
def test_unknown_pieces_are_marked_and_counts_shown(seen: Seen) -> None:
    seen.page.fill("#text", "All is well. A snowman ☃ too.")
    seen.page.wait_for_selector("#segment-list mark")
    assert seen.page.locator("#segment-list mark").all_inner_texts() == ["☃"]
    assert seen.page.locator("#segment-list li").count() == 2
    assert "29 characters" in seen.page.locator("#counts").inner_text()


@nightly
def test_page_waits_for_a_server_that_starts(chromium: Any, fake: Fake) -> None:
    fake.behaviour.ready = False
    context = chromium.new_context(locale="zh-CN")
    seen = Seen(context.new_page())
    seen.page.goto(fake.url)
    seen.page.wait_for_selector("#alerts .notice")
    assert "3 of 9 programs" in seen.notice()
    fake.behaviour.ready = True
    seen.page.wait_for_selector("#voice-picker input")
    assert seen.page.locator("#alerts .notice").count() == 0
    assert seen.page.locator("html").get_attribute("lang") == "zh-CN"
    seen.check(fake.url)
    context.close()
