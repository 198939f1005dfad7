// Starts the page: tabs, language, theme, and the parts.

import { loadAbout, startAbout, whenReady } from "./about.js";
import { Dock } from "./dock.js";
import { find, remember, setIcon } from "./dom.js";
import { drawEmotion, startEmotion } from "./emotion.js";
import { startHistory } from "./history.js";
import { startLanguage, t } from "./i18n.js";
import { startNewVoice } from "./new-voice.js";
import { speakRequest, startSpeak } from "./speak.js";
import { startText } from "./text.js";
import { loadVoices, startVoices } from "./voices.js";

const TABS = ["speak", "voices", "history", "about"];

function showTab() {
  const wanted = TABS.includes(location.hash.slice(1)) ? location.hash.slice(1) : "speak";
  for (const tab of TABS) {
    find(`tab-${tab}`).hidden = tab !== wanted;
    const link = document.querySelector(`nav a[href="#${tab}"]`);
    if (tab === wanted) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  document.body.dataset.tab = wanted;
  if (wanted === "voices") loadVoices();
}

const THEMES = ["auto", "light", "dark"];

function drawTheme() {
  const theme = document.documentElement.dataset.theme ?? "auto";
  const text = t("theme", { theme: t(`theme.${theme}`) });
  find("theme").setAttribute("aria-label", text);
  find("theme").title = text;
}

function nextTheme() {
  const theme = document.documentElement.dataset.theme ?? "auto";
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  if (next === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  remember.set("theme", next);
  drawTheme();
  document.dispatchEvent(new Event("theme"));
}

async function connect() {
  await whenReady();
  await loadAbout();
  await loadVoices();
}

function start() {
  for (const element of document.querySelectorAll("[data-icon]")) setIcon(element, element.dataset.icon);
  const dock = new Dock();
  startEmotion();
  startText();
  startVoices(dock);
  startNewVoice();
  startSpeak(dock);
  startAbout(connect);
  document.addEventListener("language", drawTheme);
  document.addEventListener("about", drawEmotion);
  document.addEventListener("theme", () => dock.wave.draw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dock.wave.draw());
  find("theme").addEventListener("click", nextTheme);
  startLanguage();
  addEventListener("hashchange", () => {
    showTab();
    scrollTo(0, 0);
  });
  showTab();
  startHistory(dock, (body, voice) => {
    location.hash = "#speak";
    speakRequest(body, voice);
  });
  connect();
}

start();
