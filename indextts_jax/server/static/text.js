// The text box: never lost, counted, and shown as the segments that will be spoken.

import { request } from "./api.js";
import { about } from "./about.js";
import { find, make, remember } from "./dom.js";
import { clearFields } from "./errors.js";
import { number, t } from "./i18n.js";

const WAIT = 350; // milliseconds without typing before the server is asked

let timer = null;
let asked = null; // AbortController of the question on its way
let shown = null; // the last answer

const box = () => find("text");

function counts() {
  const characters = [...box().value].length, limit = about.facts?.limits?.characters;
  const parts = [t("characters", { count: number(characters) })];
  if (shown && characters) {
    const tokens = shown.segments.reduce((sum, segment) => sum + segment.ids.length, 0);
    const seconds = shown.segments.reduce((sum, segment) => sum + segment.seconds + segment.pause, shown.lead);
    parts.push(t("tokens", { count: number(tokens) }), t("about.seconds", { seconds: number(seconds, 1) }));
  }
  const over = limit && characters > limit;
  if (over) parts.push(t("text.over", { limit: number(limit) }));
  find("counts").replaceChildren(over ? make("span", { class: "over" }, parts.join(" · ")) : parts.join(" · "));
}

/** The text of a segment, with the pieces marked that the model does not know. */
function marked(text, unknown) {
  const line = make("bdi");
  let at = 0;
  while (at < text.length) {
    const next = unknown.map((piece) => [text.indexOf(piece, at), piece]).filter(([place]) => place >= 0)
      .sort((a, b) => a[0] - b[0] || b[1].length - a[1].length)[0];
    if (!next) break;
    line.append(text.slice(at, next[0]), make("mark", { title: t("unknown") }, next[1]));
    at = next[0] + next[1].length;
  }
  line.append(text.slice(at));
  return line;
}

function draw() {
  counts();
  const segments = shown?.segments ?? [];
  find("segments").hidden = !segments.length;
  find("segment-count").textContent = segments.length;
  const unknown = [...new Set((shown?.unknown ?? []).map((item) => item.piece).filter(Boolean))];
  find("segment-list").replaceChildren(...segments.map((segment) =>
    make("li", {}, marked(segment.text, unknown), make("span", {}, t("seconds", { seconds: number(segment.seconds, 1) })))));
  const warnings = [...(shown?.warnings ?? [])];
  if (unknown.length) warnings.unshift(t("unknown.list", { pieces: unknown.join(" ") }));
  find("text-warnings").textContent = warnings.join(" · ");
  if (unknown.length) find("segments").open = true;
}

async function ask() {
  asked?.abort();
  asked = new AbortController();
  const input = box().value;
  if (!input.trim()) {
    shown = null;
    return draw();
  }
  try {
    const response = await request("v1/preview", { method: "POST", json: { input, pause: Number(find("pause").value) }, signal: asked.signal });
    shown = await response.json();
  } catch (error) {
    if (error.name === "AbortError") return;
    shown = null; // Speak will show what is wrong; while someone types it would be in the way
  }
  draw();
}

function changed() {
  remember.set("text", box().value);
  clearFields(box().closest(".field"));
  counts();
  clearTimeout(timer);
  timer = setTimeout(ask, WAIT);
}

export function startText() {
  box().value = remember.get("text") ?? "";
  box().addEventListener("input", changed);
  find("pause").addEventListener("change", changed);
  document.addEventListener("language", draw);
  document.addEventListener("about", ask); // the server is there, perhaps again
  draw();
}
