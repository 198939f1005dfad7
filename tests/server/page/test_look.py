"""How the page looks and can be used: widths, themes, languages, assistive technology, memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from browser import Seen, axe, launched, page_of
from fake_speech_api import Behaviour, Fake, served

pytestmark = pytest.mark.nightly
TABS = ("speak", "voices", "history", "about")
SIZES = ((360, 740), (768, 1024), (1280, 900))
THEMES = ("light", "dark")
LANGUAGES = ("en-GB", "zh-CN")
TEXT = "We carried the chairs upstairs ☃. Then the piano — which took six of us."


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with launched("--enable-precise-memory-info", "--js-flags=--expose-gc") as browser:
        yield browser


@pytest.fixture(scope="module")
def fake() -> Iterator[Fake]:
    with served() as running:
        running.behaviour = Behaviour(seconds=2, pace=40)
        names = ("anna", "Grandfather, reading", "小雨", "n" * 90)
        running.voices = [
            {"id": n, "name": n, "created": "2026-11-20T10:00:00Z", "seconds": 8.0} for n in names
        ]
        yield running


def fill(seen: Seen) -> None:
    """Everything that a page can show at once."""
    page = seen.page
    page.fill("#text", TEXT)
    page.wait_for_selector("#segment-list mark")
    page.click("#emotion-kinds label:nth-child(3)")
    page.click("#advanced summary")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#dock:not([hidden])")
    seen.ended()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
def test_nothing_is_wider_than_the_page(
    chromium: Any, fake: Fake, tmp_path: Path, size: tuple[int, int], theme: str, language: str
) -> None:
    """Writes screenshots too: pytest keeps them in `tmp_path`."""
    width, height = size
    view = {"width": width, "height": height}
    with page_of(chromium, fake.url, viewport=view, color_scheme=theme, locale=language) as seen:
        fill(seen)
        for tab in TABS:
            seen.page.click(f'nav a[href="#{tab}"]')
            seen.page.screenshot(path=tmp_path / f"{tab}.png", full_page=True)
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, tab
        seen.page.click('nav a[href="#speak"]')
        seen.page.click("#record-voice")
        seen.page.screenshot(path=tmp_path / "record.png")
        box = seen.page.locator("#voice-dialog").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


@pytest.mark.parametrize("theme", THEMES)
def test_axe_has_no_serious_finding(chromium: Any, fake: Fake, theme: str) -> None:
    script = axe().read_text("utf-8")
    with page_of(chromium, fake.url, color_scheme=theme, reduced_motion="reduce") as seen:
        fill(seen)
        found = []
        for tab in (*TABS, "dialog"):
            if tab == "dialog":
                seen.page.click('nav a[href="#speak"]')
                seen.page.click("#record-voice")
            else:
                seen.page.click(f'nav a[href="#{tab}"]')
            seen.page.evaluate(script)
            result = seen.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
            for one in result["violations"]:
                if one["impact"] in ("serious", "critical"):
                    places = [node["target"] for node in one["nodes"]]
                    found.append((tab, one["id"], places[:3]))
        assert found == []


def test_tab_key_reaches_every_control(chromium: Any, fake: Fake) -> None:
    with page_of(chromium, fake.url) as seen:
        fill(seen)
        page = seen.page
        wanted = page.evaluate(
            """() => {
              const kinds = "button, input, select, textarea, summary, a, [tabindex='0']";
              const usable = (e) => e.checkVisibility() && !e.disabled && e.tabIndex >= 0;
              return [...document.querySelectorAll(kinds)]
                .filter((e) => usable(e) && e.type !== "radio")
                .map((e, i) => e.dataset.place = i);
            }"""
        )
        page.evaluate("document.activeElement.blur()")
        reached = set()
        for _ in range(len(wanted) + 20):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("Number(document.activeElement.dataset.place ?? -1)"))
        assert set(wanted) - reached == set()


# An hour of reports of the worklet, twenty a second, about an hour of sound.
HOUR = """
async () => {
  const { Dock } = await import(new URL("page/dock.js", document.baseURI));
  const { Clip } = await import(new URL("page/clip.js", document.baseURI));
  const rate = 22050, dock = new Dock(), { player } = dock;
  let posted = 0;
  player.prepare = async () => {
    player.node = { port: { postMessage: ({ samples }) => { posted += samples?.length ?? 0; } } };
    player.context = { outputLatency: 0, resume() {}, suspend() {} };
  };
  const clip = new Clip(rate);
  const words = Array.from({ length: 9000 }, (_, i) =>
    ({ start: 0.4 * i, end: 0.4 * i + 0.3, char_start: 5 * i, char_end: 5 * i + 4 }));
  await dock.show(clip, { name: "hour", text: "word ".repeat(9000), words });
  const used = () => { gc(); return performance.memory.usedJSHeapSize; };
  let before = 0, longest = 0;
  const start = 600; // seconds after which it is measured
  for (let second = 0; second < 3600; second++) {
    clip.append(new Int16Array(rate));
    for (let i = 1; i <= 20; i++) {
      const began = performance.now(), read = Math.round((second + i / 20) * rate);
      player.report({ epoch: player.epoch, read, buffered: 0, underruns: 0, finished: false });
      longest = Math.max(longest, performance.now() - began);
    }
    if (second === start) before = used();
    if (second % 60 === 0) await new Promise(requestAnimationFrame);
  }
  const sound = 2 * rate * (3600 - start - 1); // bytes of samples since then
  return { grown: used() - before - sound, posted, longest, length: clip.length };
}
"""


def test_an_hour_of_playing_takes_no_memory_beyond_its_sound(chromium: Any, fake: Fake) -> None:
    with page_of(chromium, fake.url) as seen:
        found = seen.page.evaluate(HOUR)
    assert found["posted"] == found["length"] == 3600 * 22_050
    assert found["grown"] < 4_000_000, found
    assert found["longest"] < 200, found


def test_many_speeches_leave_no_nodes_behind(chromium: Any, fake: Fake) -> None:
    with page_of(chromium, fake.url) as seen:
        page = seen.page
        session = page.context.new_cdp_session(page)

        def counted() -> dict[str, int]:
            session.send("HeapProfiler.collectGarbage")
            return session.send("Memory.getDOMCounters")

        page.fill("#text", TEXT)
        counts = []
        for round_ in range(12):
            page.keyboard.press("Control+Enter")
            seen.until(lambda: len(fake.bodies) > 0)
            seen.ended()
            if round_ in (3, 11):
                page.click('nav a[href="#history"]')
                page.click("#history-clear")
                page.click("#confirm-dialog .danger")
                page.wait_for_selector("#history-list .none")
                page.click('nav a[href="#speak"]')
                counts.append(counted())
        assert counts[1]["nodes"] <= counts[0]["nodes"] + 50
        assert counts[1]["jsEventListeners"] <= counts[0]["jsEventListeners"] + 20
