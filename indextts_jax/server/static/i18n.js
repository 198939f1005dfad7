// The texts of the page, in English and Chinese.

import { find, make, remember } from "./dom.js";
import english from "./strings/en.js";
import chinese from "./strings/zh.js";

const LANGUAGES = { en: english, zh: chinese };
let language = "en";

/** The text of a key, with `{names}` replaced by values. */
export function t(key, values = {}) {
  const text = LANGUAGES[language][key] ?? english[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export const locale = () => (language === "zh" ? "zh-CN" : "en");

export function number(value, digits = 0) {
  return value.toLocaleString(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Minutes and seconds: 1:07. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

const PLACES = { t: null, tLabel: "aria-label", tPlaceholder: "placeholder", tTitle: "title" };

/** Fills all elements that name a text in `data-t`, `data-t-label` and so on. */
export function fill(root = document) {
  for (const [name, attribute] of Object.entries(PLACES)) {
    const selector = name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
    for (const element of root.querySelectorAll(`[data-${selector}]`)) {
      const text = t(element.dataset[name]);
      if (attribute) element.setAttribute(attribute, text);
      else element.textContent = text;
    }
  }
}

function setLanguage(code) {
  language = code;
  document.documentElement.lang = locale();
  const button = find("language");
  button.replaceChildren(make("span", { lang: code === "zh" ? "en" : "zh-CN" }, code === "zh" ? "English" : "中文"));
  fill();
  document.dispatchEvent(new Event("language"));
}

export function startLanguage() {
  find("language").addEventListener("click", () => {
    const code = language === "zh" ? "en" : "zh";
    remember.set("language", code);
    setLanguage(code);
  });
  const wanted = remember.get("language") ?? navigator.language.slice(0, 2);
  setLanguage(wanted === "zh" ? "zh" : "en");
}
